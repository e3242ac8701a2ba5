"""A shelf whose changes are decided elsewhere: what would change is proposed, and done once it was decided.

For a machine that is one of several with the same shelf. Importing and rolling back verify, and put snapshots on
the shelf, as ``Library`` does, but change nothing that counts; ``proposed`` is what the state would be. ``adopt`` makes a
state that was decided on the shelf's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import msgspec

from redoubt.definitions import snapshot
from redoubt.definitions.library import Library, followed
from redoubt.definitions.shelf import State
from redoubt.errors import DefinitionsError, DefinitionsMissing


class ProposingLibrary(Library):
    """``proposed`` is None before something would change."""

    proposed: State | None = None

    def adopt(self, state: State, streams: Mapping[str, Path]) -> None:
        """Make ``state`` what is on the shelf.

        ``streams``: files with the compressed streams of snapshots that may not be here yet, by digest. An entry whose
        snapshot is neither here nor in ``streams`` is left out. Raises ``DefinitionsMissing`` where that is the active
        one, ``DefinitionsRefused`` where a stream is not that of its digest, ``AccessDenied``.
        """
        with self._writing():
            for digest, stream in streams.items():
                self._shelve(followed(state.entries[digest], stream))
            here = {digest: entry for digest, entry in state.entries.items() if self.has(digest)}
            if state.active and state.active not in here:
                raise DefinitionsMissing(f"the definitions {state.active} are not here yet")
            super()._change(msgspec.structs.replace(state, entries=here))

    def has(self, digest: str) -> bool:
        """Whether a snapshot is on the shelf, as far as its size shows."""
        with suppress(DefinitionsError):
            snapshot.check(self._place(digest))
            return True
        return False

    def _change(self, state: State) -> None:
        self.proposed = state
        before = self._read()
        # So that what is proposed is not swept away before it was decided.
        super()._change(msgspec.structs.replace(before, entries={**state.entries, **before.entries}))
