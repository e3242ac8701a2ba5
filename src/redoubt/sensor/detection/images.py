"""What is known of images: asked of Central when it is wanted, held in memory within a bound, given out again.

An image is held by its digest, or by its name where that is not known. Several who want the same one wait for one call. What
Central cannot say anything of counts as an image that nobody looked at, and is asked for again after a while.
"""

from __future__ import annotations

import asyncio
import random
import time
import zlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime

import msgspec
import structlog

from redoubt import tasks
from redoubt.errors import NetworkError, RedoubtError
from redoubt.model.scannedimage import ScannedImage
from redoubt.model.workload import ContainerImage
from redoubt.policies import ImagePart, PolicySet
from redoubt.wire.failures import NotFound, Unavailable

_log = structlog.get_logger("images")
#: Scans and look-ups at a time; seconds for one; and until what failed is tried again.
_AT_ONCE, _LOOKUPS, _PATIENCE, _AGAIN = 8, 8, 600.0, 600.0
_SWEEP = 30.0
#: What an image takes once it is decoded, in terms of its JSON: 3.2 times with 300 packages (`bench/sensor.py images`).
_DECODED = 4

#: Name, namespace and whether only what is known already → JSON of a ``ScannedImage``. Raises ``RedoubtError``.
Fetch = Callable[[str, str, bool], Awaitable[bytes]]


def key_of(image: ContainerImage | None) -> str:
    """What an image is held by; empty for none."""
    if image is None:
        return ""
    return image.id or ("" if image.name is None else image.name.full_name)


def asked_as(image: ContainerImage) -> str:
    """What Central is asked for: with the digest where it is known."""
    name = "" if image.name is None else image.name.full_name
    return f"{name}@{image.id}" if image.id and "@" not in name else name


class _Held:
    """An image."""

    __slots__ = ("content", "made_by", "part", "size", "until")

    def __init__(self, content: bytes, until: float | None) -> None:
        self.content = zlib.compress(content, 1)
        self.size = len(self.content) + _DECODED * len(content)
        #: When it is to be asked for again; None: when Central says so.
        self.until = until
        self.part: ImagePart | None = None
        self.made_by: PolicySet | None = None


class Images:
    """Images by their keys. ``changed`` is told which of them are known now, or otherwise."""

    def __init__(self, fetch: Fetch, limit: int, changed: Callable[[Iterable[str]], None]) -> None:
        self._fetch = fetch
        self._limit = limit
        self._changed = changed
        self._held: OrderedDict[str, _Held] = OrderedDict()
        self._size = 0
        self._calls: dict[str, asyncio.Task[bytes]] = {}
        #: Wanted, and not to be had while Central is away.
        self._postponed: dict[str, ContainerImage] = {}
        self._wanted: set[str] = set()
        #: These stay until policies were asked of them, or nobody uses them; what other services ask for does not.
        self._awaited: set[str] = set()
        #: Where they are used: for pull secrets.
        self._namespaces: dict[str, str] = {}
        self._at_once = asyncio.Semaphore(_AT_ONCE)
        self._lookups = asyncio.Semaphore(_LOOKUPS)
        self._background: set[asyncio.Task[None]] = set()
        self.evicted = 0

    @property
    def size(self) -> int:
        """What is held, in bytes."""
        return self._size

    async def run(self) -> None:
        """Ask again for what failed, for ever."""
        try:
            while True:
                await asyncio.sleep(_SWEEP)
                now = time.monotonic()
                over = [
                    key for key, each in self._held.items() if each.until is not None and each.until <= now
                ]
                if over:
                    self.forget(over)
                # Central may be there, and what it needs for an answer may not have been.
                self.back()
        finally:
            await tasks.end(*self._background, *self._calls.values())

    def known(self, image: ContainerImage, namespace: str) -> bool:
        """Whether policies can be asked of it now; if not, Central is asked. ``namespace`` is where it is used."""
        key = key_of(image)
        if not key:
            return True
        self._awaited.add(key)
        if key in self._held:
            return True
        self._namespaces[key] = namespace
        self._want(key, image)
        return False

    def part(self, policies: PolicySet, image: ContainerImage | None, now: datetime) -> ImagePart | None:
        """What the policies make of an image; None where nothing is known of it. May be called from any thread."""
        held = self._held.get(key_of(image))
        if held is None:
            return None
        part = held.part
        if part is None or held.made_by is not policies or (part.until is not None and part.until <= now):
            content = zlib.decompress(held.content)
            held.part = policies.image(msgspec.json.decode(content, type=ScannedImage, strict=False), now)
            held.made_by = policies
        return held.part

    def used(self, images: Iterable[ContainerImage | None]) -> None:
        """Policies were asked of these."""
        for image in images:
            key = key_of(image)
            if key in self._held:
                self._awaited.discard(key)
                self._held.move_to_end(key)
        self._evict()

    def release(self, keys: Iterable[str]) -> None:
        """No workload uses these any more."""
        for key in keys:
            self._awaited.discard(key)
            self._postponed.pop(key, None)
            self._namespaces.pop(key, None)
        self._evict()

    async def content(self, name: str, namespace: str, *, cached: bool) -> bytes:
        """An image's JSON for another service. Raises ``RedoubtError``: ``Unavailable`` where Central is away."""
        key = name.rpartition("@")[2] if "@" in name else name
        held = self._held.get(key)
        if held is not None and held.until is None:
            self._held.move_to_end(key)
            return zlib.decompress(held.content)
        if cached:
            found = await self._fetch(name, namespace, True)
            self._keep(key, found)
            return found
        return await asyncio.shield(self._call(key, name, namespace))

    def forget(self, digests: Iterable[str]) -> None:
        """Something else is known of these now; of all, where none is named."""
        named = set(digests)
        gone = [key for key in self._held if not named or key in named or self._digest(key) in named]
        for key in gone:
            self._drop(key)
        if gone:
            self._changed(gone)

    def _digest(self, key: str) -> str:
        """Of an image that is held by its name."""
        held = self._held[key]
        part = held.part
        return "" if part is None or key.startswith("sha256:") else part.view.image.id

    def back(self) -> None:
        """Central can be asked again."""
        postponed, self._postponed = self._postponed, {}
        for key, image in postponed.items():
            self._want(key, image)

    def _want(self, key: str, image: ContainerImage) -> None:
        if key in self._wanted or key in self._postponed:
            return
        self._wanted.add(key)
        task = asyncio.create_task(self._have(key, image), name="image")
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _have(self, key: str, image: ContainerImage) -> None:
        name = asked_as(image)
        try:
            await asyncio.shield(self._call(key, name, self._namespaces.pop(key, "")))
        except Unavailable:
            self._postponed[key] = image
            return
        except RedoubtError as error:
            _log.warning("nothing is known of an image", image=name[:300], reason=str(error)[:300])
            nothing = ScannedImage(
                id=image.id, name=image.name, notes=("MISSING_METADATA", "MISSING_SCAN_DATA")
            )
            again = _AGAIN * random.uniform(0.8, 1.2)  # noqa: S311
            self._keep(key, msgspec.json.encode(nothing), time.monotonic() + again)
        finally:
            self._wanted.discard(key)
        self._changed((key,))

    def _call(self, key: str, name: str, namespace: str) -> asyncio.Task[bytes]:
        found = self._calls.get(key)
        if found is None:
            found = asyncio.create_task(self._called(key, name, namespace), name="image-call")
            self._calls[key] = found
            found.add_done_callback(lambda task: self._called_off(key, task))
        return found

    def _called_off(self, key: str, task: asyncio.Task[bytes]) -> None:
        del self._calls[key]
        if not task.cancelled():
            task.exception()  # seen, though nobody may have waited

    async def _called(self, key: str, name: str, namespace: str) -> bytes:
        content = await self._at_once_known(name, namespace) if "@" in name else None
        if content is None:
            async with self._at_once:
                content = await self._within(self._fetch(name, namespace, False), name)
        self._keep(key, content)
        return content

    async def _at_once_known(self, name: str, namespace: str) -> bytes | None:
        """What Central knows of a digest already: that does not wait behind images that have to be scanned."""
        async with self._lookups:
            try:
                return await self._within(self._fetch(name, namespace, True), name)
            except NotFound:
                return None

    async def _within(self, call: Awaitable[bytes], name: str) -> bytes:
        try:
            return await asyncio.wait_for(call, _PATIENCE)
        except TimeoutError:
            raise NetworkError(f"{name}: Central has no answer within {_PATIENCE:.0f} seconds") from None

    def _keep(self, key: str, content: bytes, until: float | None = None) -> None:
        if key in self._held:
            self._drop(key)
        self._held[key] = held = _Held(content, until)
        self._size += held.size
        self._evict()

    def _drop(self, key: str) -> None:
        self._size -= self._held.pop(key).size

    def _evict(self) -> None:
        if self._size <= self._limit:
            return
        for key in [key for key in self._held if key not in self._awaited]:
            self._drop(key)
            self.evicted += 1
            if self._size <= self._limit:
                return
