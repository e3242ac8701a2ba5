"""Who changed what: every call of a known caller that may change something, in the database and in the log.

The entry is written before the answer's first byte, so that nobody hears of a change that is not in it. No body and no
query is ever part of it. Calls of strangers, which are refused, are in the log only: they must not fill the database.
"""

from __future__ import annotations

import structlog

from redoubt.central.auth.caller import ANONYMOUS, Caller
from redoubt.central.frame import MUTATING, Ended
from redoubt.central.store.audit import AuditStore, Entry

_log = structlog.get_logger("audit")
_LONGEST = 500


class Audit:
    """A hook of the frame; gRPC handlers call ``record`` themselves."""

    def __init__(self, store: AuditStore) -> None:
        self.store = store

    async def __call__(self, ended: Ended) -> None:
        """Record an HTTP request, if it may have changed something."""
        scope = ended.scope
        if scope["method"] not in MUTATING:
            return
        caller = scope.get("user")
        state = scope.get("state", {})
        raw = scope.get("raw_path") or scope["path"].encode()
        await self.record(
            caller if isinstance(caller, Caller) else ANONYMOUS,
            method=scope["method"],
            route=str(scope.get("path_template", "")),
            path=raw.decode("ascii", "replace").partition("?")[0],
            status=ended.status,
            source=str(state.get("source", "")),
            request=str(state.get("request_id", "")),
        )

    async def record(
        self,
        caller: Caller,
        *,
        method: str,
        route: str,
        path: str,
        status: int,
        source: str,
        request: str = "",
    ) -> None:
        """Record a call. A database that is away does not stop the answer; the log has the entry then."""
        entry = Entry(
            kind=caller.kind.value,
            caller=caller.id,
            name=caller.name,
            roles=[role.role.name for role in caller.roles],
            source=source,
            method=method,
            route=route,
            path="".join(c if c.isprintable() else "?" for c in path[:_LONGEST]),
            status=status,
            request=request,
        )
        _log.info(
            "call",
            who=caller.label,
            method=method,
            path=entry.path,
            status=status,
            source=source,
            request=request,
        )
        if not caller.authenticated:
            return
        try:
            await self.store.add(entry)
        except Exception as error:  # noqa: BLE001 (whatever keeps the entry from the database, the call was made)
            _log.error("the audit entry is in this log only", reason=type(error).__name__, request=request)
