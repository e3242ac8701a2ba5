"""Who may make which gRPC call of Central, where callers are people and their programs: as for HTTP's routes.

    class Answers(ImagesBase):
        def __init__(self, door: Door) -> None:
            self.door = door

        @permit(allow(Resource.IMAGE, Access.READ_WRITE), changes=True)
        async def DeleteImages(self, stream: Stream[...]) -> None: ...

Credentials come in the call's metadata (``authorization``), or as a client certificate. What ``changes`` something is in
the audit log before the caller hears that it was done. Failures are told as HTTP's are.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from functools import wraps
from typing import Any, Protocol, TypeVar

from grpclib.const import Status
from grpclib.exceptions import GRPCError
from grpclib.server import Stream

from redoubt.central.auth import sources
from redoubt.central.auth.audit import Audit
from redoubt.central.auth.authenticate import Authenticator
from redoubt.central.auth.caller import ANONYMOUS, Caller
from redoubt.central.auth.declare import Condition, Declaration, check
from redoubt.central.mishaps import judged
from redoubt.central.refusals import HTTP, Refused
from redoubt.egress import refusals as egress_refusals
from redoubt.errors import RedoubtError
from redoubt.wire import calls, failures

_DECLARED = "__conditions__"
_CANCELLED = 499

AnyStream = Stream[Any, Any]
_calling: ContextVar[Caller] = ContextVar("calling", default=ANONYMOUS)


#: Is told of each call that ended: its path, HTTP's status for its code, and how many seconds it took.
Ended = Callable[[str, int, float], None]


class Door:
    """Knows callers, and notes what they changed. ``trusted`` proxies' ``x-forwarded-for`` is believed."""

    def __init__(
        self,
        authenticator: Authenticator,
        audit: Audit,
        trusted: tuple[sources.Network, ...] = (),
        ended: Ended = lambda path, status, seconds: None,
    ) -> None:
        self._authenticator = authenticator
        self.audit = audit
        self.ended = ended
        self._trusted = trusted

    def source(self, stream: AnyStream) -> str:
        """The address that a call comes from."""
        address = stream.peer.addr()
        forwarded = _metadata(stream, "x-forwarded-for")
        return sources.source(str(address[0]) if address else "", forwarded, self._trusted)

    async def caller(self, stream: AnyStream, source: str) -> Caller:
        """Who calls. Raises ``Unauthenticated`` and ``Exhausted``."""
        said = _metadata(stream, "authorization")
        return await self._authenticator.caller(said[0] if said else "", calls.peer(stream), source)


class Guarded(Protocol):
    """What has methods that callers are let in to."""

    door: Door


_Service = TypeVar("_Service", bound=Guarded)
_Stream = TypeVar("_Stream", bound=AnyStream)
_Method = Callable[[_Service, _Stream], Coroutine[Any, Any, None]]


def permit(
    declaration: Declaration, *, changes: bool = False
) -> Callable[[_Method[_Service, _Stream]], _Method[_Service, _Stream]]:
    """Only who fulfils ``declaration`` may call the method."""

    def declare(method: _Method[_Service, _Stream]) -> _Method[_Service, _Stream]:
        @calls.anyone()
        @wraps(method)
        async def guarded(self: _Service, stream: _Stream) -> None:
            path, number = calls.path(stream), secrets.token_hex(8)
            source = self.door.source(stream)
            caller, status, began = ANONYMOUS, _CANCELLED, time.perf_counter()
            try:
                caller = await self.door.caller(stream, source)
                check(caller, declaration.conditions)
                _calling.set(caller)
                with egress_refusals.asking(caller.label):
                    await method(self, stream)
                status = 200
            except GRPCError as error:
                status = HTTP.get(error.status.value, 500)
                raise
            except Exception as error:
                code, message = judged(error, method="GRPC", path=path, number=number)
                status = HTTP[code]
                told = Status(code.value)
                if isinstance(error, RedoubtError) and not isinstance(error, Refused):
                    raise failures.status(error, told) from error
                raise GRPCError(told, message) from error
            finally:
                self.door.ended(path, status, time.perf_counter() - began)
                if changes:
                    await self.door.audit.record(
                        caller,
                        method="GRPC",
                        route=path,
                        path=path,
                        status=status,
                        source=source,
                        request=number,
                    )

        setattr(guarded, _DECLARED, declaration.conditions)
        return guarded

    return declare


def calling() -> Caller:
    """Who made the call that is being answered."""
    return _calling.get()


def conditions_of(method: object) -> tuple[Condition, ...]:
    """What ``permit`` was told of a service's method; empty where it was not used."""
    found = getattr(method, _DECLARED, ())
    return found if isinstance(found, tuple) else ()


def _metadata(stream: AnyStream, name: str) -> list[str]:
    """What a call says under a name, as often as it does."""
    found = stream.metadata.getall(name, []) if stream.metadata is not None else []
    return [value for value in found if isinstance(value, str)]
