"""Who may make which call: declared on every handler, asked on every call.

    class Answers(IndexerBase):
        @allow(Service.CENTRAL, *MATCHERS)
        async def HasIndexReport(self, stream: Stream[...]) -> None: ...

A handler that declares nothing is not served at all: the server does not start.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Protocol, TypeVar

from google.protobuf.message import DecodeError
from grpclib.const import Handler, Status
from grpclib.exceptions import GRPCError
from grpclib.server import Stream

from redoubt.errors import RedoubtError
from redoubt.wire import failures
from redoubt.wire.h2 import Peer
from redoubt.wire.identity import Identity, Service

log = logging.getLogger(__name__)
_DECLARED = "__callers__"
_Method = TypeVar("_Method", bound=Callable[..., Awaitable[None]])
_Received = TypeVar("_Received")
_Sent = TypeVar("_Sent")


class Servable(Protocol):
    """What the stubs' base classes are: methods by the path that calls them."""

    def __mapping__(self) -> Mapping[str, Handler]: ...


def allow(*services: Service) -> Callable[[_Method], _Method]:
    """Only these services may call."""
    if not services:
        raise TypeError("name at least one service, or say anyone()")

    def declare(method: _Method) -> _Method:
        setattr(method, _DECLARED, frozenset(services))
        return method

    return declare


def anyone() -> Callable[[_Method], _Method]:
    """Everybody may call, with or without a certificate. What the caller may see is the method's to decide."""

    def declare(method: _Method) -> _Method:
        setattr(method, _DECLARED, None)
        return method

    return declare


def allowed(method: object) -> frozenset[Service] | None:
    """Which services may call a method; None for everybody. Raises ``AttributeError`` where it does not declare that."""
    found: frozenset[Service] | None = getattr(method, _DECLARED)
    return found


def peer(stream: Stream[_Received, _Sent]) -> Identity | None:
    """Who calls, by a certificate that is valid now; None for a caller that showed none, or no service's."""
    found = stream.peer.identity if isinstance(stream.peer, Peer) else None
    return found if found is not None and found.valid() else None


def path(stream: Stream[_Received, _Sent]) -> str:
    """The path of a call: ``/redoubt.v1.Indexer/HasIndexReport``."""
    return stream._method_name


async def request(stream: Stream[_Received, _Sent]) -> _Received:
    """The one message of a call, or the first of a stream. Raises ``GRPCError`` where none came."""
    message = await stream.recv_message()
    if message is None:
        raise GRPCError(Status.INVALID_ARGUMENT, "the call ended without a request")
    return message


def everyone(caller: Identity) -> str:
    """Of all who show a service's certificate, none is refused for what else it says."""
    return ""


def guarded(
    services: Iterable[Servable], foreign: Callable[[Identity], str] = everyone
) -> dict[str, Handler]:
    """The methods of all services, each behind the check of what it declares.

    ``foreign`` says why a caller is none of ours though its service may call; empty for one that is.
    Raises ``TypeError`` for a method that declares nothing, and for two of the same path.
    """
    mapping: dict[str, Handler] = {}
    for service in services:
        for path, handler in service.__mapping__().items():
            if path in mapping:
                raise TypeError(f"{path} is served twice")
            if not hasattr(handler.func, _DECLARED):
                raise TypeError(f"{path} does not declare who may call it; see redoubt.wire.calls")
            mapping[path] = _guard(path, handler, allowed(handler.func), foreign)
    return mapping


def _guard(
    path: str, handler: Handler, callers: frozenset[Service] | None, foreign: Callable[[Identity], str]
) -> Handler:
    async def guard(stream: Stream[object, object]) -> None:
        if callers is not None:
            _check(path, peer(stream), callers, foreign)
        try:
            await handler.func(stream)
        except RedoubtError as error:
            raise failures.status(error) from error
        except DecodeError:
            raise GRPCError(Status.INVALID_ARGUMENT, "a message that cannot be read") from None
        except NotImplementedError as error:
            raise GRPCError(Status.UNIMPLEMENTED, str(error) or None) from error  # compression, says grpclib

    return Handler(guard, handler.cardinality, handler.request_type, handler.reply_type)


def _check(
    path: str, caller: Identity | None, callers: frozenset[Service], foreign: Callable[[Identity], str]
) -> None:
    if caller is None:
        raise GRPCError(
            Status.UNAUTHENTICATED, f"{path} is for services: show a service's certificate that is valid"
        )
    if caller.service not in callers:
        log.warning("%s may not call %s", caller, path)
        raise GRPCError(Status.PERMISSION_DENIED, f"{path} is not for {caller.service}")
    if why := foreign(caller):
        log.warning("%s may not call %s: %s", caller, path, why)
        raise GRPCError(Status.PERMISSION_DENIED, why)
