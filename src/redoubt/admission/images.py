"""What is known of images: kept by digest for a while, asked for once however many wait, and forgotten when it is too much.

Where it comes from is somebody else's matter (``Source``). It must not know what is decided about an image.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Protocol

import msgspec

from redoubt import tasks
from redoubt.admission.rules import Rules
from redoubt.errors import RedoubtError, UnreadableInput
from redoubt.model.scannedimage import ScannedImage
from redoubt.model.workload import ImageName
from redoubt.policies import ImagePart
from redoubt.wire.failures import NotFound, Unavailable

#: Seconds: an image that nobody knows is asked for again after this; a scan that nobody waits for goes on so long.
UNKNOWN_LIFETIME = 30.0
_LONGEST = 600.0
#: Images that are asked for at a time, with those that wait for their turn.
_MOST = 1000
#: A struct in memory, in bytes for each byte of its JSON: measured with images of 300 flaws.
_SWELLS = 4
_decoder = msgspec.json.Decoder(ScannedImage, strict=False)


class Source(Protocol):
    """Who knows images."""

    async def image(self, name: str, *, cached: bool, namespace: str) -> bytes:
        """JSON of ``ScannedImage``. Raises ``NotFound`` where nothing is known, ``Unavailable`` where nobody can be asked."""


class Kept:
    """An image, and what some rules made of it. ``stamp`` is another number each time that that was made anew."""

    __slots__ = ("_image", "_rules", "part", "size", "stamp", "until")

    def __init__(self, image: ScannedImage, size: int, until: float) -> None:
        self._image = image
        self._rules: Rules | None = None
        self.size = size
        self.until = until
        self.part: ImagePart | None = None
        self.stamp = 0

    @property
    def digest(self) -> str:
        """The manifest's."""
        return self._image.id

    def of(self, rules: Rules, now: datetime) -> ImagePart:
        """What those rules make of it now."""
        part = self.part
        if part is None or self._rules is not rules or (part.until is not None and part.until <= now):
            part = self.part = rules.image(self._image, now)
            self._rules = rules
            self.stamp = next(_stamps)
        return part


_stamps = itertools.count(1)


class _Fetch:
    """An image that is asked for, or waits for its turn. ``waiting`` is how many want it."""

    __slots__ = ("begun", "task", "waiting")

    def __init__(self) -> None:
        self.begun = False
        self.waiting = 0
        self.task: asyncio.Task[Kept | None]


class Images:
    """``memory`` bytes of images at most, each for ``lifetime`` seconds."""

    def __init__(
        self,
        source: Source,
        *,
        lifetime: float,
        memory: int,
        simultaneous: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        self._lifetime, self._memory = lifetime, memory
        self._clock = clock
        self._slots = asyncio.Semaphore(simultaneous)
        #: By what is asked for, and by digest; the same image may be under several.
        self._names: OrderedDict[str, str] = OrderedDict()
        self._kept: OrderedDict[str, Kept] = OrderedDict()
        self._unknown: OrderedDict[str, float] = OrderedDict()
        self._underway: dict[tuple[str, bool], _Fetch] = {}
        self.size = 0

    def known(self, name: ImageName, digest: str, rules: Rules, now: datetime) -> Kept | None:
        """What is kept of it, with what those rules make of it; None where it has to be asked for."""
        kept = self._find(_key(name, digest))
        if kept is not None:
            kept.of(rules, now)
        return kept

    async def ask(
        self, name: ImageName, digest: str, rules: Rules, now: datetime, *, cached: bool, namespace: str
    ) -> ImagePart:
        """What can be found out about it; an image without a scan where nobody knows it. Raises ``Unavailable``.

        Who is cancelled does not end what was begun: the next one finds it. What still waits for its turn ends with the last who
        wants it.
        """
        key = _key(name, digest)
        if (kept := self._find(key)) is not None:
            return kept.of(rules, now)
        if not self._is_unknown(key):
            found = await self._fetch(key, cached=cached, namespace=namespace)
            if found is not None:
                return found.of(rules, now)
        return rules.unscanned(name, now)

    def forget(self) -> None:
        """All of it."""
        self._names.clear()
        self._kept.clear()
        self._unknown.clear()
        self.size = 0

    async def close(self) -> None:
        """End what is under way."""
        await tasks.end(*(each.task for each in self._underway.values()))

    def _find(self, key: str) -> Kept | None:
        digest = self._names.get(key)
        if digest is None or (kept := self._kept.get(digest)) is None:
            return None
        if kept.until <= self._clock():
            self._drop(digest)
            return None
        self._names.move_to_end(key)
        self._kept.move_to_end(digest)
        return kept

    def _is_unknown(self, key: str) -> bool:
        until = self._unknown.get(key)
        if until is None:
            return False
        if until > self._clock():
            return True
        del self._unknown[key]
        return False

    async def _fetch(self, key: str, *, cached: bool, namespace: str) -> Kept | None:
        at = (key, cached)
        fetch = self._underway.get(at)
        if fetch is None:
            if len(self._underway) >= _MOST:
                raise Unavailable(f"{key[:200]}: {_MOST} other images are asked for")
            fetch = self._underway[at] = _Fetch()
            fetch.task = asyncio.create_task(self._fetched(fetch, key, cached, namespace))
            fetch.task.add_done_callback(partial(self._ended, at, fetch))
        fetch.waiting += 1
        try:
            return await asyncio.shield(fetch.task)
        finally:
            fetch.waiting -= 1
            if not fetch.waiting and not fetch.begun:
                self._leave(at, fetch)  # whoever wants it from now on begins anew
                fetch.task.cancel()

    def _ended(self, at: tuple[str, bool], fetch: _Fetch, _: object) -> None:
        self._leave(at, fetch)
        if not fetch.task.cancelled():
            fetch.task.exception()  # seen: perhaps nobody waits any more

    def _leave(self, at: tuple[str, bool], fetch: _Fetch) -> None:
        if self._underway.get(at) is fetch:
            del self._underway[at]

    async def _fetched(self, fetch: _Fetch, key: str, cached: bool, namespace: str) -> Kept | None:
        async with self._slots:
            fetch.begun = True
            try:
                async with asyncio.timeout(_LONGEST):
                    data = await self._source.image(key, cached=cached, namespace=namespace)
                image = await asyncio.to_thread(_decoded, data)
            except NotFound:
                self._remember_unknown(key)
                return None
            except Unavailable:
                raise
            except TimeoutError:
                raise Unavailable(f"{key[:200]}: no answer in {_LONGEST:.0f} s") from None
            except RedoubtError as error:
                raise Unavailable(f"{key[:200]}: {error}") from error
        kept = Kept(image, len(data) * _SWELLS, self._clock() + self._lifetime)
        self._keep(key, kept)
        return kept

    def _keep(self, key: str, kept: Kept) -> None:
        if kept.size > self._memory or not self._lifetime:
            return
        digest = kept.digest or key
        self._drop(digest)
        self._kept[digest] = kept
        self._names[key] = digest
        self._unknown.pop(key, None)
        self.size += kept.size
        while self.size > self._memory:
            self._drop(next(iter(self._kept)))
        while len(self._names) > 8 * len(self._kept) + 1024:
            self._names.popitem(last=False)

    def _drop(self, digest: str) -> None:
        if (kept := self._kept.pop(digest, None)) is not None:
            self.size -= kept.size

    def _remember_unknown(self, key: str) -> None:
        self._unknown[key] = self._clock() + UNKNOWN_LIFETIME
        while len(self._unknown) > 10_000:
            self._unknown.popitem(last=False)


def _key(name: ImageName, digest: str) -> str:
    """What an image is asked for by."""
    full = name.full_name
    return full if not digest or "@" in full else f"{full}@{digest}"


def _decoded(data: bytes) -> ScannedImage:
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnreadableInput(f"no description of an image ({str(error)[:200]})") from None
