"""ClairCore's "json blob": a zstd stream of JSON objects, a line each, as records of update operations.

Every line repeats the operation that it belongs to (``Updater``, ``Date``, ``Kind``, ``Ref``) and holds one
vulnerability or one enrichment (``libvuln/jsonblob``). Nothing in it is trusted: what it takes to read it is
bounded, and one record is held at a time. What the records mean is not known here.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import zstandard

from redoubt.definitions.carrier import Member
from redoubt.errors import DefinitionsRefused

VULNERABILITY, ENRICHMENT = "vulnerability", "enrichment"

#: A zstd block of 4 bytes can become 128 KiB: this much input can become 32 MiB at most, in one call.
_FEED = 1024
_WINDOW = 1 << 27


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What reading one stream may cost, in bytes: all of it, and one line. Lines repeat themselves so much
    that a hundredfold expansion is honest; ``ratio`` holds beyond ``ratio_from``.
    """

    size: int = 128 << 30
    line: int = 8 << 20
    ratio: int = 1000
    ratio_from: int = 256 << 20


class Package(msgspec.Struct, gc=False):
    """``package``. ``kind`` is ``source``, ``binary``, ``ancestry`` …"""

    name: str = ""
    version: str = ""
    kind: str = ""
    module: str = ""
    arch: str = ""


class Release(msgspec.Struct, gc=False):
    """``distribution``, of which ``did`` and the version are ``os-release``'s ``ID`` and ``VERSION_ID``."""

    did: str = ""
    version_id: str = ""
    version: str = ""
    version_code_name: str = ""


class Repository(msgspec.Struct, gc=False):
    """``repository``: OSV's ecosystem, or a Red Hat CPE."""

    name: str = ""
    key: str = ""


class Range(msgspec.Struct, gc=False):
    """``range``: two normalised versions, of which the upper is outside."""

    lower: str = msgspec.field(name="[", default="")
    upper: str = msgspec.field(name=")", default="")


class Alias(msgspec.Struct, gc=False):
    """One of ``Aliases``: ``CVE`` and ``2024-1``."""

    space: str = ""
    name: str = ""


class Vulnerability(msgspec.Struct, gc=False):
    """``Vuln``: one flaw in one package of one release or ecosystem."""

    name: str
    description: str = ""
    issued: str = ""
    links: str = ""
    severity: str = ""
    normalized_severity: str = ""
    package: Package | None = None
    distribution: Release | None = None
    repository: Repository | None = None
    fixed_in_version: str = ""
    range: Range | None = None
    arch_op: str = ""
    aliases: list[Alias] | None = msgspec.field(name="Aliases", default=None)
    invert: bool = msgspec.field(name="Invert", default=False)


class Enrichment(msgspec.Struct, gc=False):
    """``Enrichment``: names that it is filed under, and any JSON."""

    tags: list[str] | None = msgspec.field(name="Tags", default=None)
    enrichment: msgspec.Raw = msgspec.field(name="Enrichment", default_factory=msgspec.Raw)


class Line(msgspec.Struct, gc=False, rename="pascal"):
    """One line of a stream."""

    updater: str
    date: str
    kind: str
    ref: str
    vuln: Vulnerability | None = None
    enrichment: Enrichment | None = None


class Head(msgspec.Struct, gc=False, rename="pascal"):
    """As much of a line as says whose it is."""

    updater: str
    date: str
    kind: str
    ref: str


_decode = msgspec.json.Decoder(Line).decode
_decode_head = msgspec.json.Decoder(Head).decode


def lines(member: Member, where: str, limits: Limits | None = None) -> Iterator[Line | tuple[Head, str]]:
    """The lines of a stream, or of one that is not of the shape its head and what is wrong with it.

    ``where`` names the stream in messages. Raises ``DefinitionsRefused`` where it is not whole zstd, expands
    beyond the ``limits``, or holds a line that is not JSON of an operation.
    """
    limits = limits or Limits()
    for number, line in enumerate(_split(_inflated(member, where, limits), where, limits), 1):
        try:
            yield _decode(line)
        except msgspec.ValidationError as error:
            yield _head(line, where, number), str(error)
        except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
            raise DefinitionsRefused(
                f"line {number} of {where} is damaged ({str(error)[:100]}); carry the bundle again"
            ) from None


def _head(line: bytes, where: str, number: int) -> Head:
    try:
        return _decode_head(line)
    except msgspec.DecodeError as error:
        raise DefinitionsRefused(
            f"line {number} of {where} belongs to no update operation ({str(error)[:100]}); "
            "the bundle is not one that this Redoubt knows"
        ) from None


def _split(pieces: Iterator[bytes], where: str, limits: Limits) -> Iterator[bytes]:
    """Lines without their ends, none empty."""
    rest: list[bytes] = []
    held = 0
    for piece in pieces:
        first, *others = piece.split(b"\n")
        rest.append(first)
        held += len(first)
        if held > limits.line:
            raise DefinitionsRefused(f"{where} holds a record of more than {limits.line} bytes; refused")
        if not others:
            continue
        whole = b"".join(rest)
        if whole:
            yield whole
        last = others.pop()
        for line in others:
            if line:
                yield line
        rest, held = [last], len(last)
    whole = b"".join(rest)
    if whole:
        yield whole


def _inflated(member: Member, where: str, limits: Limits) -> Iterator[bytes]:
    """What the zstd frames in ``member`` hold."""
    decompressor = zstandard.ZstdDecompressor(max_window_size=_WINDOW)
    inflate = decompressor.decompressobj()
    taken = size = 0
    begun = False
    while data := member.read(_FEED):
        taken += len(data)
        while data:
            try:
                piece = inflate.decompress(data)
            except zstandard.ZstdError as error:
                raise DefinitionsRefused(
                    f"{where} is not readable zstd ({error}); carry the bundle again"
                ) from None
            begun = True
            data = b""
            if inflate.eof:
                data, inflate, begun = inflate.unused_data, decompressor.decompressobj(), False
            size += len(piece)
            if size > limits.size or (size > limits.ratio_from and size > taken * limits.ratio):
                raise DefinitionsRefused(f"{where} expands too far, like a zip bomb; refused")
            if piece:
                yield piece
    if begun or not taken:
        raise DefinitionsRefused(f"{where} is truncated; carry the bundle again")
