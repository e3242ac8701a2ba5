"""One kind of object, listed and then watched for ever: what is there, what comes, changes and goes.

A watch goes on where the last one ended (``resourceVersion``, kept current by bookmarks). Where the server has
forgotten that version (410), everything is listed again after a pause of random length: all Sensors and controllers
of a cluster lose their watches together. What ``convert`` makes of an object is passed on, the object itself is not kept.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any

import msgspec
import structlog

from redoubt.errors import NetworkError, RedoubtError, UnreadableInput
from redoubt.kubeapi import Api, ApiFailure
from redoubt.sensor.cluster.changes import Change
from redoubt.sensor.cluster.discovery import Resource

_log = structlog.get_logger("watching")
#: Objects of a page.
_PAGE = 500
_FIRST, _LONGEST = 0.5, 30.0
#: Failures until kinds of these groups are no longer waited for: about half a minute.
_PATIENCE, _OTHERS = 6, ".openshift.io"
#: Seconds until what was forbidden is asked for again.
_REFUSED = 60.0

#: An object's JSON, decoded → what is kept of it. Raises ``UnreadableInput``.
Convert = Callable[[dict[str, Any]], object]
Put = Callable[[Change], Awaitable[None]]


class _Meta(msgspec.Struct):
    uid: str = ""
    resource_version: str = msgspec.field(default="", name="resourceVersion")


class _Object(msgspec.Struct):
    metadata: _Meta = msgspec.field(default_factory=_Meta)


class _ListMeta(msgspec.Struct):
    resource_version: str = msgspec.field(default="", name="resourceVersion")
    more: str = msgspec.field(default="", name="continue")


class _List(msgspec.Struct):
    metadata: _ListMeta
    items: list[msgspec.Raw] | None = None


class _Event(msgspec.Struct):
    type: str
    object: msgspec.Raw


class _Status(msgspec.Struct):
    code: int = 0
    message: str = ""


class _Gone(Exception):
    """The server does not know the version any more."""


class Watch:
    """Watches one kind. ``run`` does it until it is cancelled; ``settled`` is set when it was listed once, or may not be."""

    def __init__(
        self,
        api: Api,
        resource: Resource,
        convert: Convert,
        put: Put,
        *,
        seconds: float = 300.0,
        jitter: float = 5.0,
    ) -> None:
        self._api = api
        self.resource = resource
        self._convert = convert
        self._put = put
        self._seconds = seconds
        self._jitter = jitter
        self._version = ""
        self.settled = asyncio.Event()
        #: Why it does not work now; empty where it does.
        self.problem = ""
        self.spoilt = 0
        self.lists = 0

    async def run(self) -> None:
        """For ever."""
        failed = 0
        while True:
            try:
                if not self._version:
                    await self._list()
                self.problem, failed = "", 0
                await self._watch()
            except _Gone:
                self._version = ""
                await asyncio.sleep(random.uniform(0, self._jitter))  # noqa: S311
            except ApiFailure as failure:
                self._say(str(failure))
                if failure.code in (403, 404):
                    self._version = ""
                    self.settled.set()
                    await asyncio.sleep(_REFUSED * random.uniform(0.8, 1.2))  # noqa: S311
                else:
                    failed = await self._wait(failed)
            except NetworkError as failure:
                self._say(str(failure))
                failed = await self._wait(failed)
            except RedoubtError as failure:
                self._say(str(failure))
                self._version = ""
                failed = await self._wait(failed)
            except Exception as failure:  # noqa: BLE001 (whatever it was, nobody else watches this kind)
                self._fault(failure)
                self._version = ""
                failed = await self._wait(failed)

    def _fault(self, failure: Exception) -> None:
        problem = f"it failed ({type(failure).__name__})"
        if problem != self.problem:
            _log.exception("a watch failed", kind=self.resource.kind)
        self.problem = problem

    def _say(self, problem: str) -> None:
        if problem != self.problem:
            _log.warning("cannot be watched now", kind=self.resource.kind, problem=problem)
        self.problem = problem

    async def _wait(self, failed: int) -> int:
        if failed >= _PATIENCE and self.resource.group.endswith(_OTHERS):
            # Such kinds have servers of their own. That one of these is away for long must not keep all others from being told.
            self.settled.set()
        seconds = min(_LONGEST, _FIRST * 2.0 ** min(failed, 16))
        await asyncio.sleep(seconds * random.uniform(0.5, 1.0))  # noqa: S311
        return failed + 1

    async def _list(self) -> None:
        self.lists += 1
        seen: set[str] = set()
        more, version = "", ""
        while True:
            parameters = {"limit": str(_PAGE)} | ({"continue": more} if more else {})
            try:
                answer = await self._api.get(self.resource.path, parameters)
            except ApiFailure as failure:
                if failure.code == 410:
                    raise _Gone from None
                raise
            try:
                page = msgspec.json.decode(answer, type=_List)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise UnreadableInput(f"{self.resource.path}: is no list ({error})") from None
            for item in page.items or ():
                if identifier := await self._take(item, fresh=False):
                    seen.add(identifier)
            more, version = page.metadata.more, page.metadata.resource_version
            if not more:
                break
        await self._put(Change(self.resource.kind, "", listed=frozenset(seen)))
        self._version = version
        self.settled.set()

    async def _watch(self) -> None:
        seconds = self._seconds * random.uniform(0.9, 1.1)  # noqa: S311
        parameters = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": self._version,
            "timeoutSeconds": str(max(1, round(seconds))),
        }
        try:
            async with aclosing(self._api.lines(self.resource.path, parameters, seconds + 30)) as lines:
                async for line in lines:
                    await self._event(line)
        except ApiFailure as failure:
            if failure.code == 410:
                raise _Gone from None
            raise

    async def _event(self, line: bytes) -> None:
        try:
            event = msgspec.json.decode(line, type=_Event)
            if event.type == "ERROR":
                status = msgspec.json.decode(event.object, type=_Status)
                if status.code == 410:
                    raise _Gone
                raise ApiFailure(f"{self.resource.path}: {status.message[:300]}", status.code)
            about = msgspec.json.decode(event.object, type=_Object).metadata
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise UnreadableInput(f"{self.resource.path}: is no watch ({error})") from None
        if event.type == "DELETED":
            await self._put(Change(self.resource.kind, about.uid))
        elif event.type in ("ADDED", "MODIFIED"):
            await self._take(event.object, fresh=event.type == "ADDED")
        if about.resource_version:
            self._version = about.resource_version

    async def _take(self, raw: msgspec.Raw, *, fresh: bool) -> str:
        """The object's UID; empty where it has none. What cannot be read is counted, and counts as being there."""
        try:
            given: Any = msgspec.json.decode(raw)
            identifier = given["metadata"]["uid"]
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError, TypeError):
            self.spoilt += 1
            return ""
        if not isinstance(identifier, str) or not identifier:
            self.spoilt += 1
            return ""
        # Items of a list do not say what they are.
        given["kind"], given["apiVersion"] = self.resource.kind, self.resource.api_version
        try:
            found = self._convert(given)
        except UnreadableInput as error:
            self.spoilt += 1
            _log.warning(
                "an object cannot be read", kind=self.resource.kind, id=identifier, problem=str(error)
            )
            return identifier
        except Exception as error:  # noqa: BLE001 (one object must not keep all others of its kind away)
            self.spoilt += 1
            _log.error(
                "an object cannot be read",
                kind=self.resource.kind,
                id=identifier,
                problem=type(error).__name__,
            )
            return identifier
        await self._put(Change(self.resource.kind, identifier, found, fresh))
        return identifier
