"""How each thing that definitions know becomes a key and a value: the records of a snapshot's stream.

Pure: bytes in, bytes out. It knows nothing of files, compression, databases or where records come from.

===== ============================================ ==================================================
key   meaning                                      value (MessagePack)
===== ============================================ ==================================================
``a`` namespace ``\\0`` name ``\\0`` ref             array of ranges, each an array (``AffectedRange``)
``c`` CVE                                          map (``CveRecord``)
``d`` release (``namespaces.lifecycle``)           text: the day of its end of life, ``YYYY-MM-DD``
``e`` CVE                                          array: probability, percentile, date
``m`` name                                         facts of the snapshot: schema, sources, namespaces
``r`` kind ``\\0`` name                             array of texts (``Mapped``)
``v`` ref                                          array (``_AdvisoryValue``)
===== ============================================ ==================================================

Texts are UTF-8. ``ref`` is ``source/id``. Arrays may be shorter than their struct: what is missing has
its default, and trailing defaults are left out when writing, so that equal facts are equal bytes. A
later minor version of the schema may add prefixes, names under ``m``, map keys and trailing array items:
readers skip what they don't know. Anything else, a new status for example, needs a new major version.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias, TypeVar

import msgspec

from redoubt.errors import DefinitionsRefused, UnreadableInput
from redoubt.model import Advisory, AffectedRange, CveRecord, Cvss, Epss, Mapped, Severity, SourceInfo

SCHEMA = "1.0"

#: Longest key in bytes. Real ones stay under 200; the limit keeps readers' memory bounded.
MAX_KEY = 4096
#: Largest value of one record in bytes.
MAX_VALUE = 64 << 20

AFFECTED = b"a"
CVE = b"c"
END_OF_LIFE = b"d"
EPSS = b"e"
META = b"m"
MAPPED = b"r"
ADVISORY = b"v"

Record: TypeAlias = tuple[bytes, bytes]
Ranges: TypeAlias = tuple[AffectedRange, ...]
_T = TypeVar("_T")


class _AdvisoryValue(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """An advisory without what its key says. The order is the format's: add at the end only."""

    severity: Severity = Severity.UNKNOWN
    title: str = ""
    cvss: tuple[Cvss, ...] = ()
    cwes: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    cves: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    url: str = ""
    published: str = ""
    modified: str = ""
    withdrawn: str = ""


class _EpssValue(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """Scores as whole units where they are such, else as they are."""

    probability: int | float
    percentile: int | float
    date: str = ""


_encoder = msgspec.msgpack.Encoder(order="deterministic")
_decode_ranges = msgspec.msgpack.Decoder(Ranges)
_decode_advisory = msgspec.msgpack.Decoder(_AdvisoryValue)
_decode_cve = msgspec.msgpack.Decoder(CveRecord)
_decode_epss = msgspec.msgpack.Decoder(_EpssValue)
_decode_texts = msgspec.msgpack.Decoder(tuple[str, ...])
_decode_text = msgspec.msgpack.Decoder(str)
_decode_sources = msgspec.msgpack.Decoder(tuple[SourceInfo, ...])
_decode_counts = msgspec.msgpack.Decoder(dict[str, int])

#: What decoding raises. It is written out below where it happens often: a call of a function takes half as long as the rest.
DAMAGE = (msgspec.MsgspecError, RecursionError, UnicodeDecodeError)

#: What proves a value to be sound, by its key's first byte; it raises what is in ``DAMAGE``. Groups and facts are the snapshot's.
DECODERS: Mapping[int, Callable[[bytes], object]] = {
    CVE[0]: _decode_cve.decode,
    END_OF_LIFE[0]: _decode_text.decode,
    EPSS[0]: _decode_epss.decode,
    MAPPED[0]: _decode_texts.decode,
    ADVISORY[0]: _decode_advisory.decode,
}

#: Trailing fields of a range that are left out where they hold these values.
_RANGE_DEFAULTS: tuple[object, ...] = AffectedRange.__struct_defaults__
_RANGE_REQUIRED = len(AffectedRange.__struct_fields__) - len(_RANGE_DEFAULTS)
_ADVISORY_DEFAULTS: tuple[object, ...] = _AdvisoryValue.__struct_defaults__

#: EPSS publishes five decimals: whole numbers of this unit are exact and a third of a float's size.
_EPSS_UNIT = 100_000


def affected_key(namespace: str, name: str, ref: str) -> bytes:
    """The key of one advisory's ranges in one package; ``name`` normalised."""
    return _key(AFFECTED, namespace, name, ref)


def affected(namespace: str, name: str, ref: str, ranges: Iterable[AffectedRange]) -> Record:
    """The record that an advisory (``ref``) affects a package in ``ranges`` (kept in the order given).

    Raises ``UnreadableInput`` where a part is empty, holds a NUL, or the whole is too long.
    """
    value = [_trim(msgspec.structs.astuple(item), _RANGE_REQUIRED, _RANGE_DEFAULTS) for item in ranges]
    return affected_key(namespace, name, ref), _encoder.encode(value)


def advisory(record: Advisory) -> Record:
    """The record of an advisory itself."""
    value = (
        record.severity,
        record.title,
        record.cvss,
        record.cwes,
        record.aliases,
        record.cves,
        record.references,
        record.url,
        record.published,
        record.modified,
        record.withdrawn,
    )
    return _key(ADVISORY, record.ref), _encoder.encode(_trim(value, 0, _ADVISORY_DEFAULTS))


def cve(identifier: str, record: CveRecord) -> Record:
    """The record of what is known about a CVE whichever package it is in."""
    return _key(CVE, identifier), _encoder.encode(record)


def epss(identifier: str, record: Epss) -> Record:
    """The record of a CVE's EPSS score."""
    value = _EpssValue(_to_unit(record.probability), _to_unit(record.percentile), record.date)
    return _key(EPSS, identifier), _encoder.encode(value)


def end_of_life(release: str, day: str) -> Record:
    """The record of the day from which a distribution's release is no longer looked after."""
    return _key(END_OF_LIFE, release), _encoder.encode(day)


def mapped_key(kind: str, name: str) -> bytes:
    """The key of what a name of ``kind`` (``Mapped``) stands for."""
    return _key(MAPPED, kind, name)


def mapped(name: str, record: Mapped) -> Record:
    """The record of what a repository or a container's name stands for."""
    return mapped_key(record.kind, name), _encoder.encode(record.values)


def meta(name: str, value: object) -> Record:
    """A fact of the snapshot as a whole. See ``schema``, ``sources`` and ``namespaces``."""
    return _key(META, name), _encoder.encode(value)


def describe(sources: Iterable[SourceInfo], namespaces: Mapping[str, int]) -> list[Record]:
    """The records under ``m`` that every snapshot holds, in the stream's order.

    ``namespaces`` is namespace → number of ``a`` records.
    """
    return [
        meta("namespaces", dict(namespaces)),
        meta("schema", SCHEMA),
        meta("sources", tuple(sorted(sources))),
    ]


def decode_affected(value: bytes) -> Ranges:
    """The value of an ``a`` record. Raises ``DefinitionsRefused`` where it is not one; so do all below."""
    return _decode(_decode_ranges, value)


def decode_advisory(ref: str, value: bytes) -> Advisory:
    """The advisory under the key ``v`` + ``ref``."""
    try:
        stored = _decode_advisory.decode(value)
    except DAMAGE as error:
        raise damaged(error) from None
    source, _, identifier = ref.partition("/")
    return Advisory(
        id=identifier,
        source=source,
        severity=stored.severity,
        title=stored.title,
        cvss=stored.cvss,
        cwes=stored.cwes,
        aliases=stored.aliases,
        cves=stored.cves,
        references=stored.references,
        url=stored.url,
        published=stored.published,
        modified=stored.modified,
        withdrawn=stored.withdrawn,
    )


def decode_cve(value: bytes) -> CveRecord:
    """The value of a ``c`` record."""
    try:
        return _decode_cve.decode(value)
    except DAMAGE as error:
        raise damaged(error) from None


def decode_epss(value: bytes) -> Epss:
    """The value of an ``e`` record."""
    try:
        stored = _decode_epss.decode(value)
    except DAMAGE as error:
        raise damaged(error) from None
    return Epss(_from_unit(stored.probability), _from_unit(stored.percentile), stored.date)


def decode_end_of_life(value: bytes) -> str:
    """The value of a ``d`` record."""
    return _decode(_decode_text, value)


def decode_mapped(value: bytes) -> tuple[str, ...]:
    """The value of an ``r`` record."""
    return _decode(_decode_texts, value)


def decode_schema(value: bytes) -> str:
    """The value of ``m`` ``schema``: ``major.minor``."""
    return _decode(_decode_text, value)


def decode_sources(value: bytes) -> tuple[SourceInfo, ...]:
    """The value of ``m`` ``sources``."""
    return _decode(_decode_sources, value)


def decode_namespaces(value: bytes) -> dict[str, int]:
    """The value of ``m`` ``namespaces``."""
    return _decode(_decode_counts, value)


def require_readable(schema: str) -> None:
    """Raise ``DefinitionsRefused`` unless definitions of ``schema`` can be read by this program."""
    major, dot, minor = schema.partition(".")
    if not (dot and major.isascii() and major.isdigit() and minor.isascii() and minor.isdigit()):
        raise DefinitionsRefused(f"definitions name no usable schema ({schema[:40]!r}); build them again")
    ours = SCHEMA.partition(".")[0]
    if int(major[:9]) > int(ours):
        raise DefinitionsRefused(
            f"definitions have schema {schema[:40]}, this Redoubt reads {ours}.x; "
            "install a newer Redoubt, or build them for the older schema"
        )
    if int(major[:9]) < int(ours):
        raise DefinitionsRefused(f"definitions have schema {schema[:40]}, too old to read; build them again")


def _key(prefix: bytes, *parts: str) -> bytes:
    for part in parts:
        if not part or "\0" in part:
            raise UnreadableInput(f"a record's name is empty or holds a NUL: {part[:100]!r}")
    try:
        key = prefix + "\0".join(parts).encode()
    except UnicodeEncodeError:
        raise UnreadableInput(f"a record's name is not text: {parts[-1][:100]!r}") from None
    if len(key) > MAX_KEY:
        raise UnreadableInput(f"a record's name is longer than {MAX_KEY} bytes: {parts[-1][:100]!r}…")
    return key


def _trim(values: tuple[object, ...], required: int, defaults: tuple[object, ...]) -> tuple[object, ...]:
    end = len(values)
    while end > required and values[end - 1] == defaults[end - 1 - required]:
        end -= 1
    return values[:end]


def _to_unit(score: float) -> int | float:
    units = round(score * _EPSS_UNIT)
    return units if units / _EPSS_UNIT == score else score


def _from_unit(stored: float) -> float:
    return stored / _EPSS_UNIT if isinstance(stored, int) else stored


def _decode(decoder: msgspec.msgpack.Decoder[_T], value: bytes) -> _T:
    try:
        return decoder.decode(value)
    except DAMAGE as error:
        raise damaged(error) from None


def damaged(error: Exception) -> DefinitionsRefused:
    """The refusal of a record whose decoding raised ``error``."""
    return DefinitionsRefused(f"definitions hold a damaged record ({error}); build them again")
