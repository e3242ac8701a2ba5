"""What is on the shelf, and the rules by which that changes. Pure: a state in, a state out.

Knows nothing of files; ``library.py`` reads and writes the state, and does what follows from it.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

import msgspec

from redoubt.definitions.bundle import Manifest, Verified
from redoubt.definitions.snapshot import Origin
from redoubt.errors import DefinitionsMissing, DefinitionsRefused, UsageError

#: Events that are remembered.
_HISTORY = 1000
_DIGEST = re.compile(r"(?:sha256:)?([0-9a-f]{6,64})", re.ASCII)


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A snapshot on the shelf and the bundle that it last came from.

    ``imported`` is RFC 3339 in UTC. ``order`` ascends with each import. ``activated`` is false for a
    snapshot that was only ever used by naming its file. ``read_from`` is the SHA-256 of the file of an ``unsigned``
    one: of what reading it gives, nothing else tells beforehand.
    """

    manifest: Manifest
    imported: str
    order: int
    activated: bool = False
    unsigned: bool = False
    read_from: str = ""

    @property
    def digest(self) -> str:
        """``sha256:…`` of the snapshot's stream."""
        return self.manifest.digest

    @property
    def origin(self) -> Origin:
        """What a reader of the snapshot says of where it came from."""
        return Origin(
            channel=self.manifest.channel,
            version=self.manifest.version,
            created=self.manifest.created,
            unsigned=self.unsigned,
        )

    def came_from(self, verified: Verified) -> bool:
        """Whether this very bundle is where the snapshot came from."""
        own = self.manifest
        return (own.channel, own.version, own.digest) == (
            verified.facts.channel,
            verified.version,
            verified.facts.digest,
        )


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One change of what is active. ``action``: ``import``, ``import-older`` (asked for), ``rollback`` or ``follow``."""

    time: str
    action: str
    digest: str
    channel: str
    version: int
    previous: str = ""


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """The bundle that a later one of the same channel must not be older than."""

    version: int
    digest: str


class State(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is known of the shelf. ``entries`` is digest → entry, ``accepted`` by channel."""

    format: int = 1
    active: str = ""
    order: int = 0
    entries: dict[str, Entry] = {}
    accepted: dict[str, Accepted] = {}
    history: tuple[Event, ...] = ()

    def require_active(self) -> Entry:
        """The active entry. Raises ``DefinitionsMissing``."""
        entry = self.entries.get(self.active)
        if entry is None:
            raise DefinitionsMissing("no definitions are active; run `redoubt definitions import BUNDLE`")
        return entry

    def find(self, digest: str) -> Entry:
        """The entry whose digest begins so, with or without ``sha256:``.

        Raises ``UsageError`` for what is no digest and where more than one does, ``DefinitionsMissing``.
        """
        match = _DIGEST.fullmatch(digest)
        if match is None:
            raise UsageError(f"{digest[:80]!r} is not a digest; give at least six of its hexadecimal digits")
        found = [entry for name, entry in self.entries.items() if name.startswith(f"sha256:{match[1]}")]
        if len(found) > 1:
            raise UsageError(f"{digest} begins more than one digest on the shelf; give more of it")
        if not found:
            raise DefinitionsMissing(
                f"no definitions {digest[:80]} are on the shelf; see `redoubt definitions list`"
            )
        return found[0]

    def read_from(self, sha256: str, tool: str) -> Entry | None:
        """The unsigned entry that a ``tool`` (its name and version) of now made of the file of ``sha256``."""
        for entry in self.entries.values():
            if entry.read_from == sha256 != "" and entry.manifest.tool.startswith(f"{tool},"):
                return entry
        return None

    def before_active(self) -> Entry:
        """What was active before the active one was imported, and is still here.

        Rolling back twice goes back twice. Raises ``DefinitionsMissing``.
        """
        digest = self.require_active().digest
        passed = {digest}
        while True:
            digest = next(
                (
                    event.previous
                    for event in reversed(self.history)
                    if event.digest == digest and event.action != "rollback" and event.previous != digest
                ),
                "",
            )
            if not digest or digest in passed:
                raise DefinitionsMissing(
                    "nothing earlier is on the shelf to roll back to; see `redoubt definitions list`"
                )
            if digest in self.entries:
                return self.entries[digest]
            passed.add(digest)

    def with_import(self, verified: Verified, time: str, *, older: bool) -> State:
        """This state after ``verified`` was imported and became active."""
        entry = Entry(
            manifest=verified.manifest,
            imported=time,
            order=self.order + 1,
            activated=True,
            unsigned=verified.unsigned,
            read_from=verified.read_from,
        )
        accepted = Accepted(version=verified.version, digest=entry.digest)
        return msgspec.structs.replace(
            self._with_event(entry, "import-older" if older else "import", time),
            accepted={**self.accepted, verified.facts.channel: accepted},
        )

    def with_stored(self, verified: Verified, time: str) -> State:
        """This state with the snapshot of ``verified`` on the shelf, not active."""
        entry = Entry(
            manifest=verified.manifest,
            imported=time,
            order=self.order + 1,
            unsigned=verified.unsigned,
            read_from=verified.read_from,
        )
        return msgspec.structs.replace(self, order=entry.order, entries={**self.entries, entry.digest: entry})

    def with_rollback(self, entry: Entry, time: str) -> State:
        """This state with ``entry`` active. What was accepted of the channels stays."""
        return self._with_event(msgspec.structs.replace(entry, activated=True), "rollback", time)

    def with_followed(self, entry: Entry, time: str) -> State:
        """This state with the ``entry`` of another machine's shelf active here too."""
        if self.active == entry.digest:
            return self
        own = msgspec.structs.replace(entry, imported=time, order=self.order + 1, activated=True)
        return self._with_event(own, "follow", time)

    def without_surplus(self, keep: int) -> State:
        """This state without entries that are too many: the newest ``keep`` and the active one stay.

        Those that were only ever used by naming their file count apart, so that they push none out.
        """
        kept = {self.active}
        for activated in (True, False):
            group = [entry for entry in self.entries.values() if entry.activated is activated]
            group.sort(key=lambda entry: -entry.order)
            kept |= {entry.digest for entry in group[:keep]}
        return msgspec.structs.replace(
            self, entries={digest: entry for digest, entry in self.entries.items() if digest in kept}
        )

    def _with_event(self, entry: Entry, action: str, time: str) -> State:
        event = Event(
            time=time,
            action=action,
            digest=entry.digest,
            channel=entry.manifest.channel,
            version=entry.manifest.version,
            previous=self.active,
        )
        return msgspec.structs.replace(
            self,
            active=entry.digest,
            order=max(self.order, entry.order),
            entries={**self.entries, entry.digest: entry},
            history=(*self.history, event)[-_HISTORY:],
        )


def looks_like_digest(text: str) -> bool:
    """Whether ``text`` can be a digest or the start of one."""
    return _DIGEST.fullmatch(text) is not None


def is_older(state: State, verified: Verified, *, allow_older: bool) -> bool:
    """Whether a bundle is older than what was accepted of its channel.

    Raises ``DefinitionsRefused`` where it is and that isn't allowed, or where its version was accepted
    with other contents.
    """
    channel = verified.facts.channel
    accepted = state.accepted.get(channel)
    if accepted is None or verified.version > accepted.version:
        return False
    if verified.version == accepted.version:
        # What nobody signed has no builder who could have said two things: it was read by another Redoubt.
        if verified.facts.digest != accepted.digest and not verified.unsigned:
            raise DefinitionsRefused(
                f"version {verified.version} of channel {channel} was accepted with other contents "
                f"({accepted.digest[:19]}…); ask those who build it for a new version"
            )
        return False
    if not allow_older:
        raise DefinitionsRefused(
            f"the bundle has version {verified.version}, older than version {accepted.version} that was "
            f"accepted of channel {channel}; carry a newer one, or import it with --allow-older"
        )
    return True


def timestamp(now: datetime | None) -> str:
    """``now``, or this moment, as RFC 3339 in UTC."""
    return (now or datetime.now(UTC)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
