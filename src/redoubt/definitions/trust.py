"""Which roots are trusted for which channel: one small file each, below ``trust/`` in the data folder.

The demo root that ships with the starter definitions is trusted for the channel ``starter`` and no other:
it cannot be added for any other channel, nor another root for ``starter``. Reads files; verifies nothing but that a root is a root.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from redoubt.definitions import durable
from redoubt.definitions.bundle import require_channel
from redoubt.definitions.keys import parse_root, read_small
from redoubt.errors import AccessDenied, DefinitionsRefused, UsageError

STARTER_CHANNEL = "starter"
#: The channel of StackRox's bundles, which nobody signs. No root is ever trusted for it.
UNSIGNED_CHANNEL = "stackrox"
STARTER_ROOT = Path(__file__).parent / "starter" / "root.json"

_SUFFIX = ".root.json"
_UNSIGNED = "unsigned"
_STORED = re.compile(r"[0-9a-f]{64}\.root\.json|unsigned", re.ASCII)


class TrustedRoot(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """A root that is trusted for a channel. ``fingerprint`` is the SHA-256 of ``root.json``, in hexadecimal.

    ``keys`` are the identifiers of the keys that may sign the channel's bundles. ``expires`` is RFC 3339.
    ``unsigned``: there is no root; the channel's bundles are accepted though nobody signs them.
    """

    channel: str
    fingerprint: str
    version: int = 0
    expires: str = ""
    keys: tuple[str, ...] = ()
    builtin: bool = False
    unsigned: bool = False


class _Role(msgspec.Struct):
    keyids: list[str] = []


class _Signed(msgspec.Struct):
    version: int
    expires: str
    roles: dict[str, _Role]


class _Root(msgspec.Struct):
    signed: _Signed


class TrustStore:
    """The roots in ``directory`` (which need not exist) and the built-in one."""

    def __init__(self, directory: Path, *, starter: Path = STARTER_ROOT) -> None:
        self._directory = directory
        self._starter = starter

    def add(self, root: Path, channel: str, *, now: datetime | None = None) -> TrustedRoot:
        """Trust the ``root.json`` at ``root`` for ``channel``; again is harmless.

        Raises ``UsageError`` where the channel is not for adding to, ``UnreadableInput`` where the file
        is not a root, ``AccessDenied``.
        """
        _require_own(channel)
        data = read_small(root)
        parsed = parse_root(data, root)
        if parsed.is_expired(now or datetime.now(UTC)):
            raise UsageError(f"{root} expired on {parsed.expires:%Y-%m-%d}; get the current one")
        if _keys(data) & self._starter_keys():
            raise UsageError(
                f"{root} is the demo root, which is trusted for channel {STARTER_CHANNEL} only; "
                "make your own with `redoubt definitions keygen`"
            )
        fingerprint = hashlib.sha256(data).hexdigest()
        folder = self._directory / channel
        with durable.writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            durable.replace(folder / f"{fingerprint}{_SUFFIX}", data)
        return _describe(channel, data, builtin=False)

    def remove(self, channel: str, fingerprint: str = "") -> tuple[TrustedRoot, ...]:
        """Stop trusting a channel's roots: all, or those whose fingerprint begins so. Says which.

        What was imported stays. Raises ``UsageError`` where there is none, ``AccessDenied``.
        """
        _require_own(channel)
        removed = []
        with durable.writing(self._directory / channel):
            for file in self._files(channel):
                if file.name.startswith(fingerprint):
                    removed.append(_describe(channel, read_small(file), builtin=False))
                    file.unlink()
        if not removed:
            raise UsageError(
                f"no such root is trusted for channel {channel}; see `redoubt definitions trust list`"
            )
        return tuple(removed)

    def allow_unsigned(self, channel: str) -> bool:
        """Accept bundles of ``channel`` that nobody signed; False where that was so before.

        Raises ``UsageError`` for a channel whose bundles are signed, ``AccessDenied``.
        """
        _require_unsigned(channel)
        folder = self._directory / channel
        with durable.writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            if (folder / _UNSIGNED).exists():
                return False
            durable.replace(folder / _UNSIGNED, b"")
        return True

    def disallow_unsigned(self, channel: str) -> None:
        """Accept them no more. What was imported stays. Raises ``UsageError`` where they were not accepted."""
        _require_unsigned(channel)
        place = self._directory / channel / _UNSIGNED
        with durable.writing(place.parent):
            try:
                place.unlink()
            except FileNotFoundError:
                raise UsageError(f"unsigned bundles of channel {channel} are not accepted as it is") from None
            durable.sync_directory(place.parent)

    def allows_unsigned(self, channel: str) -> bool:
        """Whether bundles of ``channel`` are accepted though nobody signed them."""
        return channel == UNSIGNED_CHANNEL and (self._directory / channel / _UNSIGNED).is_file()

    def require_unsigned(self, channel: str, what: str) -> None:
        """Raise ``DefinitionsRefused`` unless ``what``, an unsigned bundle of ``channel``, is accepted."""
        if not self.allows_unsigned(channel):
            raise DefinitionsRefused(
                f"this is {what}, which nobody signed; to accept such bundles anyway run "
                f"`redoubt definitions trust allow-unsigned {channel}`"
            )

    def advance(self, channel: str, old: bytes, new: bytes) -> None:
        """Trust ``new``, which a verified bundle brought, in the place of ``old``, which signed it.

        TUF specification 5.3.8: what was replaced counts no more, even if a later bundle leaves the new root
        out. The built-in root stays as it is. Raises ``AccessDenied``.
        """
        if new == old or channel == STARTER_CHANNEL:
            return
        before, after = (
            self._directory / channel / f"{hashlib.sha256(data).hexdigest()}{_SUFFIX}" for data in (old, new)
        )
        with durable.writing(before.parent):
            # Over the old one first: at no moment do both count, or neither.
            durable.replace(before, new)
            before.rename(after)
            durable.sync_directory(before.parent)

    def list(self) -> tuple[TrustedRoot, ...]:
        """Every trusted root, and every channel whose unsigned bundles are accepted, by channel."""
        roots = []
        try:
            channels = sorted(entry.name for entry in self._directory.iterdir() if entry.is_dir())
        except FileNotFoundError:
            channels = []
        except OSError as error:
            raise AccessDenied(f"cannot read {self._directory}: {error.strerror}") from None
        for channel in channels:
            if channel != STARTER_CHANNEL:
                roots += [
                    _describe(channel, read_small(file), builtin=False) for file in self._files(channel)
                ]
        if self.allows_unsigned(UNSIGNED_CHANNEL):
            roots.append(TrustedRoot(channel=UNSIGNED_CHANNEL, fingerprint="", unsigned=True))
        starter = self._starter_root()
        if starter is not None:
            roots.append(_describe(STARTER_CHANNEL, starter, builtin=True))
        return tuple(sorted(roots))

    def roots(self, channel: str) -> tuple[bytes, ...]:
        """The ``root.json`` files that are trusted for ``channel``, newest version first."""
        if channel == STARTER_CHANNEL:
            starter = self._starter_root()
            return (starter,) if starter is not None else ()
        require_channel(channel)
        found = [read_small(file) for file in self._files(channel)]
        return tuple(sorted(found, key=lambda data: -_describe(channel, data, builtin=False).version))

    def contents(self) -> dict[str, bytes]:
        """All that is trusted besides the built-in root: ``<channel>/<file's name>`` → what is in it."""
        return {
            f"{file.parent.name}/{file.name}": read_small(file)
            for pattern in (f"*/*{_SUFFIX}", f"*/{_UNSIGNED}")
            for file in sorted(self._directory.glob(pattern))
            if _STORED.fullmatch(file.name)
        }

    def restore(self, contents: Mapping[str, bytes]) -> None:
        """Trust what another store's ``contents`` were, and nothing else. Raises ``AccessDenied``, ``UsageError``."""
        own = self.contents()
        for name, data in contents.items():
            channel, _, file = name.partition("/")
            require_channel(channel)
            if not _STORED.fullmatch(file):
                raise UsageError(f"{name[:80]!r} is not a name in a store of trusted roots")
            if own.get(name) != data:
                with durable.writing(self._directory / channel):
                    (self._directory / channel).mkdir(parents=True, exist_ok=True)
                    durable.replace(self._directory / channel / file, data)
        with durable.writing(self._directory):
            for name in own.keys() - contents.keys():
                (self._directory / name).unlink(missing_ok=True)
                durable.sync_directory((self._directory / name).parent)

    def _files(self, channel: str) -> tuple[Path, ...]:
        folder = self._directory / channel
        try:
            return tuple(sorted(file for file in folder.glob(f"*{_SUFFIX}") if not file.name.startswith(".")))
        except OSError as error:
            raise AccessDenied(f"cannot read {folder}: {error.strerror}") from None

    def _starter_root(self) -> bytes | None:
        return read_small(self._starter) if self._starter.is_file() else None

    def _starter_keys(self) -> frozenset[str]:
        starter = self._starter_root()
        return _keys(starter) if starter is not None else frozenset()


def _require_own(channel: str) -> None:
    require_channel(channel)
    if channel == STARTER_CHANNEL:
        raise UsageError(
            f"channel {STARTER_CHANNEL} belongs to the built-in root; use another channel's name"
        )
    if channel == UNSIGNED_CHANNEL:
        raise UsageError(
            f"channel {UNSIGNED_CHANNEL} belongs to StackRox's own bundles, which nobody signs; use another "
            f"channel's name, or `redoubt definitions trust allow-unsigned {UNSIGNED_CHANNEL}`"
        )


def _require_unsigned(channel: str) -> None:
    if channel != UNSIGNED_CHANNEL:
        raise UsageError(
            f"bundles of channel {channel[:80]} are signed; only those of {UNSIGNED_CHANNEL} may be accepted "
            "unsigned"
        )


def _describe(channel: str, data: bytes, *, builtin: bool) -> TrustedRoot:
    fingerprint = hashlib.sha256(data).hexdigest()
    try:
        signed = msgspec.json.decode(data, type=_Root).signed
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        # A damaged file verifies nothing; it is shown so that it can be removed.
        return TrustedRoot(channel=channel, fingerprint=fingerprint, builtin=builtin)
    return TrustedRoot(
        channel=channel,
        fingerprint=fingerprint,
        version=signed.version,
        expires=signed.expires,
        keys=tuple(sorted(signed.roles.get("targets", _Role()).keyids)),
        builtin=builtin,
    )


def _keys(data: bytes) -> frozenset[str]:
    roles = msgspec.json.decode(data, type=_Root).signed.roles
    return frozenset(keyid for role in roles.values() for keyid in role.keyids)
