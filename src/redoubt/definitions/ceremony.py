"""Roots that several people hold: made, changed and signed, one key after another.

A root names the keys that sign bundles and the keys that sign the root itself, and how many of each it takes.
Version 1 counts once enough of its own root keys signed it; each later version needs enough of the one
before it as well (TUF specification, 5.3.4). Nobody has to be in the same room: the file goes round.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from redoubt.definitions import durable
from redoubt.definitions.keys import ROLES, ROOT_LIFETIME, load_signer, read_small, require_distinct
from redoubt.errors import UnreadableInput, UsageError

if TYPE_CHECKING:
    from securesystemslib.signer import Key
    from tuf.api.metadata import Metadata, Root

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,60}", re.ASCII)
_FILE = re.compile(r"(\d{1,6})\.root\.json")


class Role(msgspec.Struct, frozen=True, kw_only=True):
    """Who may sign: identifiers of keys, and how many it takes. ``signed`` are those that did."""

    threshold: int
    keys: tuple[str, ...]
    signed: tuple[str, ...] = ()

    @property
    def lacking(self) -> int:
        """How many signatures more it takes."""
        return max(0, self.threshold - len(self.signed))


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How far a root is. ``before`` are the root keys of the version before it, who have to sign it too;
    None for a version without one beside it.
    """

    version: int
    expires: str
    bundles: Role
    root: Role
    before: Role | None = None

    @property
    def complete(self) -> bool:
        """Whether it counts."""
        return not self.root.lacking and not (self.before and self.before.lacking)


def make_key(out: Path, name: str) -> tuple[Path, Path]:
    """A pair of keys for one person: ``NAME.pem``, which stays with them, and ``NAME.pub``, which goes round.

    Ed25519; PKCS#8 and SubjectPublicKeyInfo, PEM. Never overwrites: ``UsageError``. ``AccessDenied``.
    """
    from cryptography.hazmat.primitives import serialization as s
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    if not _NAME.fullmatch(name):
        raise UsageError(f"{name[:80]!r} is not a name for a key; use letters, digits and hyphens")
    private, public = out / f"{name}.pem", out / f"{name}.pub"
    key = Ed25519PrivateKey.generate()
    contents = (
        (private, 0o600, key.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.NoEncryption())),
        (public, 0o644, key.public_key().public_bytes(s.Encoding.PEM, s.PublicFormat.SubjectPublicKeyInfo)),
    )
    for file in (private, public):
        if os.path.lexists(file):
            raise UsageError(f"{file} exists and is not overwritten; name another")
    with durable.writing(out):
        out.mkdir(mode=0o700, parents=True, exist_ok=True)
        for file, mode, data in contents:
            durable.replace(file, data, mode=mode)
    return private, public


def new_root(
    out: Path,
    keys: Sequence[Path],
    root_keys: Sequence[Path],
    *,
    threshold: int,
    root_threshold: int,
    now: datetime,
) -> Standing:
    """Write version 1 of a root to ``out``, signed by nobody yet.

    ``keys`` (public) sign bundles, ``root_keys`` the root. Raises ``UsageError`` where a key is given twice, a
    threshold is more than there are keys, or ``out`` exists; ``UnreadableInput``, ``AccessDenied``.
    """
    from tuf.api.metadata import Metadata, Root

    if os.path.lexists(out):
        raise UsageError(f"{out} exists and is not overwritten; name another")
    root = Root(expires=_expiry(now), consistent_snapshot=True)
    for roles, files, least in ((ROLES, keys, threshold), (("root",), root_keys, root_threshold)):
        read = [_public(file) for file in files]
        if len({key.keyid for key in read}) != len(read):
            raise UsageError("the same key was given twice; each person needs their own")
        for role in roles:
            for key in read:
                root.add_key(key, role)
            root.roles[role].threshold = least
    _require_reachable(root)
    return _write(out, Metadata(root), None)


def change_root(
    file: Path,
    *,
    add: Sequence[Path] = (),
    remove: Sequence[str] = (),
    add_root: Sequence[Path] = (),
    remove_root: Sequence[str] = (),
    threshold: int | None = None,
    root_threshold: int | None = None,
    now: datetime,
) -> tuple[Path, Standing]:
    """Write the version that follows the newest root beside ``file``, signed by nobody yet; say where.

    ``add`` are public keys, ``remove`` identifiers of keys or the start of one. Raises as ``new_root`` does,
    and ``UsageError`` where nothing changes or the version that follows is there already.
    """
    from tuf.api.metadata import Metadata, Root

    from redoubt.definitions.keys import chain

    roots = chain(file)
    version = max(roots)
    before = Metadata[Root].from_bytes(roots[version]).signed
    out = file.parent / f"{version + 1}.root.json"
    if os.path.lexists(out):
        raise UsageError(f"{out} exists already; let it be signed, or remove it")
    root = Metadata[Root].from_bytes(roots[version]).signed
    for roles, added, removed, least in (
        (ROLES, add, remove, threshold),
        (("root",), add_root, remove_root, root_threshold),
    ):
        for role in roles:
            for name in removed:
                root.revoke_key(_one(root.roles[role].keyids, name), role)
            for public in added:
                root.add_key(_public(public), role)
            if least is not None:
                root.roles[role].threshold = least
    if root.roles == before.roles and root.keys == before.keys:
        raise UsageError("nothing would change; say which keys or thresholds")
    root.version, root.expires = version + 1, _expiry(now)
    _require_reachable(root)
    return out, _write(out, Metadata(root), before)


def sign_root(file: Path, key: Path) -> Standing:
    """Sign the root in ``file`` with the private key in ``key``; say how far it is.

    Raises ``UsageError`` where the key is not one that may, ``UnreadableInput``, ``AccessDenied``.
    """
    metadata, before = _read(file)
    signer = load_signer(key)
    keyid = signer.public_key.keyid
    entitled = {*metadata.signed.roles["root"].keyids, *(before.roles["root"].keyids if before else ())}
    if keyid not in entitled:
        raise UsageError(f"{key} is not a root key of {file}, nor of the version before it")
    metadata.sign(signer, append=True)
    return _write(file, metadata, before)


def standing(file: Path) -> Standing:
    """How far the root in ``file`` is. Raises ``UnreadableInput``, ``AccessDenied``."""
    return _standing(*_read(file))


def _read(file: Path) -> tuple[Metadata[Root], Root | None]:
    """The root in ``file``, signed or not, and the one before it where that lies beside it."""
    from tuf.api import exceptions
    from tuf.api.metadata import Metadata, Root

    from redoubt.definitions.keys import ROOT, chain

    try:
        metadata = Metadata[Root].from_bytes(read_small(file))
        if not isinstance(metadata.signed, Root) or not metadata.signed_bytes:
            raise UnreadableInput(f"{file} is not a TUF root")
    except (exceptions.RepositoryError, ValueError, KeyError, TypeError, RecursionError):
        raise UnreadableInput(f"{file} is not a TUF root") from None
    require_distinct(metadata.signed, str(file))
    if metadata.signed.version == 1:
        return metadata, None
    previous = metadata.signed.version - 1
    first = file.parent / ROOT
    roots = chain(first) if first.is_file() else {}
    if previous in roots:
        return metadata, Metadata[Root].from_bytes(roots[previous]).signed
    if _FILE.fullmatch(file.name):
        raise UnreadableInput(f"{file.parent} holds no whole version {previous} of this root; put it there")
    return metadata, None


def _standing(metadata: Metadata[Root], before: Root | None) -> Standing:
    root = metadata.signed
    return Standing(
        version=root.version,
        expires=f"{root.expires:%Y-%m-%dT%H:%M:%SZ}",
        bundles=_role(root, "targets", None),
        root=_role(root, "root", metadata),
        before=_role(before, "root", metadata) if before else None,
    )


def _role(root: Root, name: str, metadata: Metadata[Root] | None) -> Role:
    role = root.roles[name]
    signed: tuple[str, ...] = ()
    if metadata is not None:
        result = root.get_verification_result(name, metadata.signed_bytes, metadata.signatures)
        signed = tuple(sorted(result.signed))
    return Role(threshold=role.threshold, keys=tuple(sorted(role.keyids)), signed=signed)


def _write(out: Path, metadata: Metadata[Root], before: Root | None) -> Standing:
    with durable.writing(out):
        durable.replace(out, metadata.to_bytes())
    return _standing(metadata, before)


def _public(file: Path) -> Key:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_public_key
    from securesystemslib.signer import SSlibKey

    try:
        return SSlibKey.from_crypto(load_pem_public_key(read_small(file)))
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise UnreadableInput(f"{file} is not a public key in PEM; `keygen --name` makes one") from None


def _one(keyids: Sequence[str], start: str) -> str:
    found = [keyid for keyid in keyids if start and keyid.startswith(start)]
    if len(found) != 1:
        raise UsageError(f"{start[:80]!r} does not begin the identifier of one key; see `root show`")
    return found[0]


def _require_reachable(root: Root) -> None:
    """Raise ``UsageError`` where a threshold cannot be reached, or a key would count twice."""
    for name in ("root", *ROLES):
        role = root.roles[name]
        what = "the root" if name == "root" else "bundles"
        if not 0 < role.threshold <= len(role.keyids):
            raise UsageError(f"{role.threshold} keys cannot sign {what}: there are {len(role.keyids)}")
    require_distinct(root, "the root")


def _expiry(now: datetime) -> datetime:
    return now.astimezone(UTC).replace(microsecond=0) + ROOT_LIFETIME
