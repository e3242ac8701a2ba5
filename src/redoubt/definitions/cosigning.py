"""One signature more under a bundle that somebody else began to sign.

Before it signs, it proves that the bundle is what it says: that the manifest is the one that is signed for,
and that the stream has the signed digest. Who signs next sees the same.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from redoubt.definitions import bundle, durable
from redoubt.definitions.carrier import Carrier, open_carrier, read_member
from redoubt.definitions.keys import ROLES, SigningKey
from redoubt.definitions.stream import Limits, StreamReader
from redoubt.errors import DefinitionsRefused, UsageError

if TYPE_CHECKING:
    from tuf.api.metadata import Metadata, Root

_LIMIT = 1 << 20


def cosign(path: Path, key: SigningKey, *, digest: str = "") -> tuple[bundle.Manifest, int]:
    """Sign the bundle in the file ``path`` with ``key`` too; say what is in it and how many signatures lack.

    ``digest`` is what its definitions have to have, where it is given. The file is replaced in one step.
    Raises ``DefinitionsRefused`` where the bundle is damaged, contradicts itself or holds something else,
    ``UsageError`` where its root is not the key's, or the key signed it already, ``AccessDenied``.
    """
    with (
        durable.writing(path.parent),
        tempfile.TemporaryDirectory(prefix="redoubt-") as work,
        open_carrier(path) as carrier,
    ):
        manifest, described = bundle.read_manifest(carrier)
        if digest and manifest.digest != digest:
            raise DefinitionsRefused(f"the bundle holds the definitions {manifest.digest}, not {digest}")
        roots, root = _roots(carrier, key)
        signed = _metadata(carrier, manifest.version)
        stream = _checked(carrier, signed["targets"], manifest, described, Path(work))
        lacking = _sign(signed, root, key)
        metadata = [
            *roots,
            *((_file(role, manifest.version), signed[role].to_bytes()) for role in reversed(ROLES)),
        ]
        name = next(name for name in carrier.names() if name.startswith("targets/"))
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            with draft.open("xb") as sink, stream.open("rb") as source:
                bundle.pack(sink, described, metadata, name, source)
            draft.replace(path)
            durable.sync_directory(path.absolute().parent)
        finally:
            draft.unlink(missing_ok=True)
    return manifest, lacking


def _file(role: str, version: int) -> str:
    return f"{role}.json" if role == "timestamp" else f"{version}.{role}.json"


def _roots(carrier: Carrier, key: SigningKey) -> tuple[list[tuple[str, bytes]], Root]:
    """The roots that the bundle carries, and the newest, which has to be the key's."""
    from tuf.api.metadata import Metadata, Root

    names = [name for name in carrier.names() if name.startswith("metadata/") and name.endswith(".root.json")]
    roots = [(name.removeprefix("metadata/"), read_member(carrier, name, _LIMIT)) for name in names]
    if (f"{key.root_version}.root.json", key.root) not in roots:
        raise UsageError("the bundle carries another root than the one beside the key; bring both up to date")
    return roots, Metadata[Root].from_bytes(key.root).signed


def _metadata(carrier: Carrier, version: int) -> dict[str, Metadata[Any]]:
    from tuf.api import exceptions
    from tuf.api.metadata import Metadata

    found = {}
    for role in ROLES:
        name = f"metadata/{_file(role, version)}"
        try:
            found[role] = Metadata.from_bytes(read_member(carrier, name, _LIMIT))
            found[role].signed_bytes  # noqa: B018 - raises here what has no canonical form
        except KeyError:
            raise DefinitionsRefused(f"the bundle is incomplete (it has no {name}); carry it again") from None
        except (exceptions.RepositoryError, ValueError, TypeError, RecursionError) as error:
            raise DefinitionsRefused(f"the bundle's {name} is damaged ({error}); carry it again") from None
        if found[role].signed.type != role or found[role].signed.version != version:
            raise DefinitionsRefused(f"the bundle's {name} is not what its name says; build it again")
    return found


def _checked(
    carrier: Carrier,
    targets: Metadata[Any],
    manifest: bundle.Manifest,
    described: bytes,
    work: Path,
) -> Path:
    """A copy of the stream, proven to be what the targets and the manifest say."""
    target = targets.signed.targets.get(manifest.target)
    if target is None or len(targets.signed.targets) != 1:
        raise DefinitionsRefused(f"the bundle does not sign {manifest.target} alone; build it again")
    facts = bundle.signed_facts(target, targets.signed.version, manifest, described)
    stream = work / manifest.target
    bundle.copy_target(carrier, target, stream)
    if not facts.base:  # what a delta makes is known where its base is
        with stream.open("rb") as file:
            reader = StreamReader(file, Limits(size=facts.size))
            for _ in reader:
                pass
        if (reader.digest, reader.size) != (facts.digest, facts.size):
            raise DefinitionsRefused("the bundle's stream is not the one that is signed for; build it again")
    return stream


def _sign(signed: dict[str, Metadata[Any]], root: Root, key: SigningKey) -> int:
    """Add the key's signatures; how many are lacking after that."""
    lacking = 0
    already = True
    for role in ROLES:
        metadata = signed[role]
        result = root.get_verification_result(role, metadata.signed_bytes, metadata.signatures)
        # What does not count is in the way: it would be carried for ever.
        for keyid in set(metadata.signatures) - set(result.signed):
            del metadata.signatures[keyid]
        if role in key.roles and key.signer.public_key.keyid not in result.signed:
            already = False
            metadata.sign(key.signer, append=True)
        lacking = max(lacking, root.roles[role].threshold - len(metadata.signatures))
    if already:
        raise UsageError("this key has signed the bundle already; another one has to")
    return lacking
