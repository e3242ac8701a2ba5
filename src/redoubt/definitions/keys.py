"""Keys that sign bundles: made, and read back for signing.

A pair of keys and a root: the ``root`` key signs ``root.json`` and is then put away; the ``definitions``
key signs bundles and stays where they are built. ``root.json`` is what those who import bundles trust.
``tuf`` and ``cryptography`` are imported when a key is made or read, not before.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from redoubt.definitions import durable
from redoubt.errors import AccessDenied, UnreadableInput, UsageError

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner
    from tuf.api.metadata import Root

ROOT = "root.json"
ROOT_KEY = "root.pem"
DEFINITIONS_KEY = "definitions.pem"

#: The roles that sign a bundle, in TUF's words.
ROLES = ("targets", "snapshot", "timestamp")

#: How long a root holds before it has to be replaced by a newer version of itself.
ROOT_LIFETIME = timedelta(days=3653)

_LIMIT = 512_000


class SigningKey:
    """A private key and the root that gives it its roles.

    ``roles`` are those that the key may sign; ``thresholds`` is role → signatures that the root asks for.
    ``roots`` are version → root: this one, and those that it took the place of, as far as they are known.
    """

    def __init__(
        self, signer: CryptoSigner, root: bytes, parsed: Root, earlier: Mapping[int, bytes] | None = None
    ) -> None:
        self.signer = signer
        self.root = root
        self.root_version = parsed.version
        self.roots = {**(earlier or {}), parsed.version: root}
        self.thresholds = {role: parsed.roles[role].threshold for role in ROLES}
        keyid = signer.public_key.keyid
        self.roles = frozenset(role for role in ROLES if keyid in parsed.roles[role].keyids)


def keygen(out: Path, now: datetime) -> Path:
    """Make keys and a root in the folder ``out``, which may exist; say where ``root.json`` is.

    Writes ``root.pem`` and ``definitions.pem`` (Ed25519, PKCS#8, readable by their owner only) and
    ``root.json``. Never overwrites: ``UsageError`` where one of them is there. Raises ``AccessDenied``.
    """
    from securesystemslib.signer import CryptoSigner
    from tuf.api.metadata import Metadata, Root

    files = [out / name for name in (ROOT_KEY, DEFINITIONS_KEY, ROOT)]
    for file in files:
        if os.path.lexists(file):
            raise UsageError(f"{file} exists and is not overwritten; name another folder")
    signers = CryptoSigner.generate_ed25519(), CryptoSigner.generate_ed25519()
    root = Root(expires=now.astimezone(UTC).replace(microsecond=0) + ROOT_LIFETIME, consistent_snapshot=True)
    root.add_key(signers[0].public_key, "root")
    for role in ROLES:
        root.add_key(signers[1].public_key, role)
    metadata = Metadata(root)
    metadata.sign(signers[0])
    contents = (*(signer.private_bytes for signer in signers), metadata.to_bytes())
    with durable.writing(out), ExitStack() as undo:
        out.mkdir(mode=0o700, parents=True, exist_ok=True)
        for file, data in zip(files, contents, strict=True):
            mode = 0o644 if file.name == ROOT else 0o600
            with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as sink:
                undo.callback(file.unlink)  # half a set of keys is none, and would be in the way of the next
                sink.write(data)
                sink.flush()
                os.fsync(sink.fileno())
        durable.sync_directory(out)
        undo.pop_all()
    return out / ROOT


def load_key(path: Path) -> SigningKey:
    """Read a signing key: a private key's file with ``root.json`` beside it, or a folder of ``keygen``.

    Where ``2.root.json`` and so on lie beside it, whole, the newest of them counts (``chain``). Raises
    ``AccessDenied`` where a file is missing or not readable, ``UnreadableInput`` where it is not what it
    should be, ``UsageError`` where the root gives the key no role in signing bundles.
    """
    file = path / DEFINITIONS_KEY if path.is_dir() else path
    signer = load_signer(file)
    roots = chain(file.parent / ROOT)
    newest = max(roots)
    key = SigningKey(signer, roots[newest], parse_root(roots[newest], file.parent / ROOT), roots)
    if not key.roles:
        raise UsageError(
            f"{file.parent / ROOT} does not let {file.name} sign bundles; put the key's own root.json there"
        )
    return key


def load_signer(file: Path) -> CryptoSigner:
    """A private key that can sign, PEM without a passphrase. Raises ``AccessDenied``, ``UnreadableInput``."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key
    from securesystemslib.signer import CryptoSigner

    try:
        return CryptoSigner(load_pem_private_key(read_small(file), password=None))  # refuses what can't sign
    except TypeError:
        raise UnreadableInput(f"{file} is encrypted; give a key without a passphrase") from None
    except (ValueError, UnsupportedAlgorithm):
        raise UnreadableInput(f"{file} is not a private key in PEM that can sign bundles") from None


def chain(file: Path) -> dict[int, bytes]:
    """Version → root: the ``root.json`` at ``file``, and those that took its place one after another.

    They lie beside it as ``2.root.json`` and so on. One counts from when enough keys of the one before it, and
    of its own, have signed it; the chain ends before the first that does not, or is not there. Raises as
    ``parse_root`` does for ``file`` itself.
    """
    data = read_small(file)
    current = parse_root(data, file)
    found = {current.version: data}
    while (following := file.parent / f"{current.version + 1}.{ROOT}").is_file():
        try:
            data = read_small(following)
            parsed = parse_root(data, following)
            require_follows(data, current, following)
        except UnreadableInput:
            break  # not signed by enough yet
        current = parsed
        found[current.version] = data
    return found


def require_follows(data: bytes, before: Root, path: Path) -> None:
    """Raise ``UnreadableInput`` unless the root in ``data`` is the version that follows ``before``, signed for it."""
    from tuf.api import exceptions
    from tuf.api.metadata import Metadata, Root

    metadata = Metadata[Root].from_bytes(data)
    if metadata.signed.version != before.version + 1:
        raise UnreadableInput(f"{path} is not version {before.version + 1} of its root")
    try:
        before.verify_delegate("root", metadata.signed_bytes, metadata.signatures)
    except exceptions.UnsignedMetadataError:
        raise UnreadableInput(
            f"{path} is not signed by enough root keys of version {before.version}"
        ) from None


def parse_root(data: bytes, path: Path) -> Root:
    """The root in ``data``, checked to be signed by itself. Raises ``UnreadableInput`` naming ``path``."""
    from tuf.api import exceptions
    from tuf.api.metadata import Metadata, Root

    try:
        metadata = Metadata[Root].from_bytes(data)
        if not isinstance(metadata.signed, Root):
            raise UnreadableInput(f"{path} is not a TUF root; `redoubt definitions keygen` makes one")
        metadata.signed.verify_delegate("root", metadata.signed_bytes, metadata.signatures)
    except exceptions.UnsignedMetadataError:
        raise UnreadableInput(f"{path} is not signed by its own root keys; get it again") from None
    except (exceptions.RepositoryError, ValueError, KeyError, TypeError, RecursionError):
        raise UnreadableInput(f"{path} is not a TUF root; `redoubt definitions keygen` makes one") from None
    if not metadata.signed.consistent_snapshot:
        raise UnreadableInput(f"{path} is a root without consistent snapshots, which bundles need")
    require_distinct(metadata.signed, str(path))
    return metadata.signed


def require_distinct(root: Root, where: str) -> None:
    """Raise ``UnreadableInput`` where a key stands under two names: one person would count as two."""
    values = [str(key.keyval.get("public", "")).strip() for key in root.keys.values()]
    if len(set(values)) != len(values):
        raise UnreadableInput(f"{where} has the same key twice under different names; refused")


def read_small(path: Path) -> bytes:
    """A file of at most half a megabyte. Raises ``AccessDenied``, ``UnreadableInput``."""
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            data = file.read(_LIMIT + 1)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise UnreadableInput(f"cannot read {path}: {error.strerror}") from None
    except OSError as error:
        raise AccessDenied(f"cannot read {path}: {error.strerror}") from None
    if data is None or len(data) > _LIMIT:
        raise UnreadableInput(f"{path} is too large for a key or a root")
    return data
