"""The file that is carried: a TUF repository in a zip, made, signed and verified here.

``manifest.json`` is for people and for finding the right root; nothing in it counts until the signature
has named its SHA-256. What is signed stands beside the snapshot's hash, as the target's ``custom`` field
(``Facts``). python-tuf's own client does the verifying, over a fetcher that reads the zip.

Rollback and age are not judged here: the shelf knows what was accepted before, and expiry dates are set
far away because a stick may travel for weeks. ``tuf`` and ``cryptography`` are imported when a bundle is
written or verified, not before. The layout is specified in ``docs/definitions.md``.

A bundle carries a whole snapshot, or a delta: what makes it of another, its base, which is named by its
digest and has to be on the shelf already. Both are signed for the snapshot's digest.
"""

from __future__ import annotations

import hashlib
import os
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import msgspec

from redoubt.definitions import durable, records
from redoubt.definitions.carrier import Carrier, Member, read_member
from redoubt.definitions.keys import SigningKey, require_distinct
from redoubt.errors import DefinitionsRefused, UnreadableInput, UsageError
from redoubt.model import SourceInfo

if TYPE_CHECKING:
    from tuf.api.metadata import TargetFile

FORMAT = "redoubt-bundle/1"
DELTA_FORMAT = "redoubt-delta/1"
MANIFEST = "manifest.json"
TARGET = "snapshot.kv.zst"
DELTA_TARGET = "delta.kv.zst"

#: How long a bundle's signatures hold. Age is judged by its records, by us.
LIFETIME = timedelta(days=3653)

_MANIFEST_LIMIT = 4 << 20
_STREAM_LIMIT = 16 << 30
_LARGEST_VERSION = (1 << 63) - 1
_CHUNK = 1 << 20
_CHANNEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
#: What python-tuf says of metadata that some keys of the right ones signed, but too few.
_TOO_FEW = re.compile(r"signed by ([1-9]\d*)/(\d+) keys")
_SHA256 = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)


class BundleSource(SourceInfo, frozen=True, kw_only=True, omit_defaults=True):
    """A source as a run of the builder saw it: what is signed, and what varies from run to run.

    ``state``: ``fresh`` (read in this run), ``unchanged`` (upstream said so), ``stale`` (failed now; the
    last good data is used) or ``missing`` (failed and never read). ``detail`` says why, for people.
    ``fetched`` is when its data was had from upstream, RFC 3339, or empty for a mirror folder.
    """

    state: str = "fresh"
    detail: str = ""
    fetched: str = ""
    etag: str = ""


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a bundle says of itself, for people.

    ``version`` ascends within a channel. ``size`` is the stream's, in bytes, uncompressed; ``counts`` is
    record prefix → records; ``namespaces`` is namespace → ``a`` records. ``tool`` made it. A delta names
    its ``base``, a digest, and its own stream's size in bytes, uncompressed.
    """

    format: str = FORMAT
    channel: str
    version: int
    created: str
    digest: str
    schema: str
    size: int
    tool: str = ""
    counts: dict[str, int] = {}
    namespaces: dict[str, int] = {}
    sources: tuple[BundleSource, ...] = ()
    base: str | msgspec.UnsetType = msgspec.UNSET
    delta_size: int | msgspec.UnsetType = msgspec.UNSET

    @property
    def target(self) -> str:
        """The name under which the stream is signed."""
        return DELTA_TARGET if self.format == DELTA_FORMAT else TARGET


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What is signed about a bundle's snapshot. ``manifest`` is the manifest's SHA-256.

    ``base`` and ``delta_size`` are set for a delta, and only there.
    """

    channel: str
    digest: str
    schema: str
    created: str
    size: int
    manifest: str
    base: str | msgspec.UnsetType = msgspec.UNSET
    delta_size: int | msgspec.UnsetType = msgspec.UNSET


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """A bundle whose signatures hold. ``stream`` is the verified copy of its compressed stream or delta.

    ``anchor`` is the trusted root that led there, ``root`` the newest that took its place on the way.
    ``unsigned``: nobody vouches for it, it was let in all the same, and there are no roots. ``passed_over``
    are the parts of such a bundle that were left alone, each with the reason, ``read_from`` its file's SHA-256.
    """

    facts: Facts
    version: int
    manifest: Manifest
    stream: Path
    stream_size: int
    anchor: bytes
    root: bytes
    unsigned: bool = False
    passed_over: tuple[str, ...] = ()
    read_from: str = ""


def default_version(now: datetime) -> int:
    """A version that ascends with the time of building: ``YYYYMMDDHHMMSS`` in UTC."""
    return int(now.astimezone(UTC).strftime("%Y%m%d%H%M%S"))


def require_channel(channel: str) -> None:
    """Raise ``UsageError`` unless ``channel`` is a usable name."""
    if not _CHANNEL.fullmatch(channel):
        raise UsageError(
            f"{channel[:80]!r} is not a channel's name; use lower-case letters, digits and inner hyphens"
        )


def write_bundle(
    out: Path, stream: Path, manifest: Manifest, keys: Sequence[SigningKey], *, partial: bool = False
) -> int:
    """Sign ``stream`` (the compressed stream or delta that ``manifest`` describes); write the bundle ``out``.

    The same input gives the same bytes. ``out`` is replaced in one step once all of it is on the disk.
    Raises ``UsageError`` where the keys don't suffice for their root; with ``partial`` such a bundle is
    written, and the number of signatures that it lacks is given back. ``AccessDenied``.
    """
    require_channel(manifest.channel)
    if out.exists() and not out.is_file():
        raise UsageError(f"{out} is not a file and is not replaced by a bundle; name another")
    if not 0 < manifest.version <= _LARGEST_VERSION:
        raise UsageError(f"{manifest.version} is not a bundle's version; use a positive whole number")
    described = msgspec.json.format(msgspec.json.encode(manifest, order="deterministic"), indent=2) + b"\n"
    facts = Facts(
        channel=manifest.channel,
        digest=manifest.digest,
        schema=manifest.schema,
        created=manifest.created,
        size=manifest.size,
        manifest=hashlib.sha256(described).hexdigest(),
        base=manifest.base,
        delta_size=manifest.delta_size,
    )
    draft = out.with_name(f".{out.name}.{os.getpid()}")
    with durable.writing(out):
        try:
            with stream.open("rb") as file:
                signed = _sign(file, manifest.target, facts, manifest.version, keys)
                metadata, target, lacking = signed
                if lacking and not partial:
                    role, threshold = "targets", keys[0].thresholds["targets"]
                    raise UsageError(
                        f"root.json asks for {threshold} keys to sign {role}; {threshold - lacking} given"
                    )
                with draft.open("xb") as sink:
                    file.seek(0)
                    pack(sink, described, metadata, f"targets/{target}.{manifest.target}", file)
            draft.replace(out)
            durable.sync_directory(out.absolute().parent)
            return lacking
        finally:
            draft.unlink(missing_ok=True)


def pack(
    sink: BinaryIO, manifest: bytes, metadata: Iterable[tuple[str, bytes]], name: str, stream: Member
) -> None:
    """Write a bundle's members into ``sink`` in their order, and see that they are on the disk."""
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as archive:
        _store(archive, MANIFEST, manifest)
        for file, data in metadata:
            _store(archive, f"metadata/{file}", data)
        with archive.open(_entry(name), "w", force_zip64=False) as out:
            while data := stream.read(_CHUNK):
                out.write(data)
    sink.flush()
    os.fsync(sink.fileno())


def read_manifest(carrier: Carrier) -> tuple[Manifest, bytes]:
    """What a bundle claims to be, unverified, and the bytes that say it. Raises ``DefinitionsRefused``."""
    try:
        data = read_member(carrier, MANIFEST, _MANIFEST_LIMIT)
        manifest = msgspec.json.decode(data, type=Manifest)
    except KeyError:
        raise DefinitionsRefused(f"this is not a definitions bundle (it holds no {MANIFEST})") from None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise DefinitionsRefused(f"the bundle's {MANIFEST} is damaged ({error}); carry it again") from None
    if manifest.format not in (FORMAT, DELTA_FORMAT):
        raise DefinitionsRefused(
            f"the bundle has the format {manifest.format[:40]!r}, this Redoubt reads {FORMAT} and "
            f"{DELTA_FORMAT}; install a newer Redoubt, or build it with the older one"
        )
    if not _CHANNEL.fullmatch(manifest.channel):
        raise DefinitionsRefused(f"the bundle names no usable channel ({manifest.channel[:80]!r}); refused")
    return manifest, data


def verify_bundle(carrier: Carrier, trusted: Callable[[str], Sequence[bytes]], work: Path) -> Verified:
    """Verify a bundle with the roots that ``trusted`` gives for the channel that it claims.

    ``work`` is an empty folder of ours; the verified stream is left in it. Raises ``DefinitionsRefused``
    with the reason, ``AccessDenied`` where ``work`` cannot be written.
    """
    # Read once: a bundle that is exchanged meanwhile must not claim one channel here and another below.
    manifest, described = read_manifest(carrier)
    roots = trusted(manifest.channel)
    if not roots:
        raise DefinitionsRefused(
            f"no root is trusted for channel {manifest.channel}; get its root.json from those who build it "
            f"and run `redoubt definitions trust add ROOT --channel {manifest.channel}`"
        )
    refusal = DefinitionsRefused("the bundle could not be verified")
    for number, anchor in enumerate(roots):
        place = work / f"metadata-{number}"
        try:
            version, target = _verify_metadata(carrier, anchor, place, manifest)
            break
        except DefinitionsRefused as error:
            refusal = error
    else:
        raise refusal
    facts = signed_facts(target, version, manifest, described)
    root = (place / "root.json").read_bytes()
    _require_distinct(root)
    stream = work / manifest.target
    copy_target(carrier, target, stream)
    return Verified(
        facts=facts,
        version=version,
        manifest=manifest,
        stream=stream,
        stream_size=target.length,
        anchor=anchor,
        root=root,
    )


def _require_distinct(root: bytes) -> None:
    from tuf.api.metadata import Metadata, Root

    try:
        require_distinct(Metadata[Root].from_bytes(root).signed, "the bundle's root")
    except UnreadableInput as error:
        raise DefinitionsRefused(str(error)) from None


def signed_facts(target: TargetFile, version: int, manifest: Manifest, described: bytes) -> Facts:
    """What is signed with a target, checked against the manifest. Raises ``DefinitionsRefused``."""
    try:
        facts = msgspec.convert(target.custom, Facts)
    except msgspec.ValidationError as error:
        raise DefinitionsRefused(
            f"what is signed in the bundle is incomplete ({error}); build it again"
        ) from None
    if facts.channel != manifest.channel:
        raise DefinitionsRefused(
            f"the bundle is signed for channel {facts.channel[:80]!r} but claims to be "
            f"{manifest.channel!r}; refused"
        )
    if facts.manifest != hashlib.sha256(described).hexdigest():
        raise DefinitionsRefused(f"the bundle's {MANIFEST} was changed after signing; carry it again")
    records.require_readable(facts.schema)
    claimed = (manifest.version, manifest.digest, manifest.schema, manifest.created, manifest.size)
    signed = (version, facts.digest, facts.schema, facts.created, facts.size)
    if claimed != signed or (manifest.base, manifest.delta_size) != (facts.base, facts.delta_size):
        raise DefinitionsRefused(f"the bundle's {MANIFEST} contradicts what is signed; build it again")
    if not _SHA256.fullmatch(facts.digest):
        raise DefinitionsRefused("the bundle's digest is not a SHA-256; build it again")
    if target.path == DELTA_TARGET:
        if not (facts.base and _SHA256.fullmatch(facts.base)):
            raise DefinitionsRefused("the delta is signed without the digest of its base; build it again")
        if not (facts.delta_size is not msgspec.UNSET and 0 <= facts.delta_size <= _STREAM_LIMIT):
            raise DefinitionsRefused("the delta is signed without a size within bounds; refused")
    elif facts.base or facts.delta_size:
        raise DefinitionsRefused("the bundle is signed as a delta and as none; build it again")
    if not 0 < facts.size <= _STREAM_LIMIT or version > _LARGEST_VERSION:
        raise DefinitionsRefused("the bundle's signed size or version is out of bounds; refused")
    return facts


@contextmanager
def _refusing(channel: str) -> Iterator[None]:
    """Turn what python-tuf raises into a refusal that says what to do."""
    from tuf.api import exceptions

    try:
        yield
    except exceptions.UnsignedMetadataError as error:
        if few := _TOO_FEW.search(str(error)):
            raise DefinitionsRefused(
                f"the bundle has {few[1]} of the {few[2]} signatures that the root of channel {channel} asks for; "
                "let another of its keys sign it: `redoubt definitions sign BUNDLE --key KEY`"
            ) from None
        if str(error).startswith(
            ("snapshot", "targets")
        ):  # the timestamp before them was signed by the right keys
            raise DefinitionsRefused(
                f"the bundle was changed after signing or is damaged ({error}); carry it again"
            ) from None
        raise DefinitionsRefused(
            f"the bundle is not signed by a root that is trusted for channel {channel} ({error}); get the "
            f"root.json of those who built it and run `redoubt definitions trust add ROOT --channel {channel}`"
        ) from None
    except exceptions.ExpiredMetadataError as error:
        raise DefinitionsRefused(
            f"the bundle's signatures have expired ({error}); check this machine's clock or carry a newer one"
        ) from None
    except (exceptions.LengthOrHashMismatchError, exceptions.DownloadLengthMismatchError) as error:
        raise DefinitionsRefused(
            f"the bundle was changed after signing or is damaged ({error}); carry it again"
        ) from None
    except exceptions.DownloadHTTPError as error:
        raise DefinitionsRefused(f"the bundle is incomplete ({error}); carry it again") from None
    except (exceptions.RepositoryError, exceptions.DownloadError, ValueError, KeyError, TypeError) as error:
        raise DefinitionsRefused(f"the bundle's metadata is damaged ({error}); carry it again") from None


def _verify_metadata(carrier: Carrier, root: bytes, work: Path, manifest: Manifest) -> tuple[int, TargetFile]:
    """Verify signatures from ``root`` down to the target, with python-tuf's client."""
    from tuf.api import exceptions
    from tuf.api.metadata import Metadata, Targets
    from tuf.ngclient import Updater
    from tuf.ngclient.fetcher import FetcherInterface

    class Fetcher(FetcherInterface):
        def _fetch(self, url: str) -> Iterator[bytes]:
            try:
                with carrier.open(url) as member:
                    while data := member.read(1 << 16):
                        yield data
            except KeyError:
                raise exceptions.DownloadHTTPError(f"it has no {url}", 404) from None

    with durable.writing(work):
        work.mkdir()
        with _refusing(manifest.channel):
            updater = Updater(
                metadata_dir=str(work), metadata_base_url="metadata/", fetcher=Fetcher(), bootstrap=root
            )
            updater.refresh()
            target = updater.get_targetinfo(manifest.target)
            if target is None:
                raise DefinitionsRefused(f"the bundle signs no {manifest.target}; build it with this Redoubt")
            # The client keeps what it verified.
            version = Metadata[Targets].from_file(str(work / "targets.json")).signed.version
    return version, target


def copy_target(carrier: Carrier, target: TargetFile, stream: Path) -> None:
    """Copy the compressed stream into our own folder and verify the copy."""
    if "sha256" not in target.hashes or target.length > _STREAM_LIMIT:
        raise DefinitionsRefused("the bundle's stream is signed without a SHA-256 or too large; refused")
    name = f"targets/{target.hashes['sha256']}.{target.path}"
    with durable.writing(stream), stream.open("x+b") as file:
        try:
            with carrier.open(name) as member:
                left = target.length + 1
                while left > 0 and (data := member.read(min(_CHUNK, left))):
                    file.write(data)
                    left -= len(data)
        except KeyError:
            raise DefinitionsRefused("the bundle is incomplete (it has no stream); carry it again") from None
        file.seek(0)
        with _refusing(""):
            target.verify_length_and_hashes(file)


def _sign(
    stream: BinaryIO, name: str, facts: Facts, version: int, keys: Sequence[SigningKey]
) -> tuple[list[tuple[str, bytes]], str, int]:
    """The TUF metadata, name → bytes in order, the target's SHA-256, and how many signatures are lacking.

    Each file is signed for itself and names the others by version only, so that keys may sign one after
    another (``cosign``).
    """
    from tuf.api.metadata import Metadata, MetaFile, Snapshot, TargetFile, Targets, Timestamp

    expires = (_instant(facts.created) + LIFETIME).replace(microsecond=0)
    target = TargetFile.from_data(name, stream, ["sha256"])
    target.unrecognized_fields["custom"] = msgspec.to_builtins(facts)
    made: list[tuple[str, str, Metadata[Any]]] = [
        (
            "timestamp",
            "timestamp.json",
            Metadata(Timestamp(version, expires=expires, snapshot_meta=MetaFile(version))),
        ),
        (
            "snapshot",
            f"{version}.snapshot.json",
            Metadata(Snapshot(version, expires=expires, meta={"targets.json": MetaFile(version)})),
        ),
        (
            "targets",
            f"{version}.targets.json",
            Metadata(Targets(version, expires=expires, targets={name: target})),
        ),
    ]
    lacking = 0
    for role, _, metadata in made:
        for key in keys:
            if role in key.roles:
                metadata.sign(key.signer, append=True)
        lacking = max(lacking, keys[0].thresholds[role] - len(metadata.signatures))
    roots = [(f"{number}.root.json", data) for number, data in sorted(keys[0].roots.items())]
    return (
        [*roots, *((file, metadata.to_bytes()) for _, file, metadata in made)],
        target.hashes["sha256"],
        lacking,
    )


def _instant(text: str) -> datetime:
    instant = datetime.fromisoformat(text)
    return instant.astimezone(UTC) if instant.tzinfo else instant.replace(tzinfo=UTC)


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name)  # 1980, the beginning of a zip's time: the same for everybody
    entry.create_system = 3
    entry.external_attr = 0o100644 << 16
    return entry


def _store(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    archive.writestr(_entry(name), data)
