"""Online mode: definitions are had from a URL at a random interval, or built here out of upstream's feeds.

What is fetched goes through the same verification as an upload, and takes the place of what is active only where it
is newer. A failure changes nothing, is logged, and is shown by ``problem``. In offline mode none of this is
started.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import structlog

from redoubt import children, egress, tasks
from redoubt.central.definitions.shelf import Definitions
from redoubt.central.definitions.work import Became
from redoubt.definitions import durable
from redoubt.definitions.shelf import timestamp
from redoubt.egress import refusals
from redoubt.errors import RedoubtError

#: Seconds: a URL is asked at a uniformly random time between these, so that many Centrals do not come at once.
SOONEST, LATEST = 300.0, 1200.0
#: Seconds between two builds out of the feeds, as upstream's own bundle is made.
BUILD_EVERY = 3 * 3600.0
#: The largest bundle that is fetched.
_LARGEST = 8 << 30
CHANNEL = "online"

_log = structlog.get_logger("definitions")

Note = Callable[[Became, str], Awaitable[None]]


class _Known(msgspec.Struct, frozen=True):
    """What the server called the file that was had last."""

    url: str = ""
    etag: str = ""
    modified: str = ""


class ToBuild(msgspec.Struct, frozen=True):
    """Where files of the feeds, keys and the bundle are."""

    folder: str


class BuiltBundle(msgspec.Struct, frozen=True):
    """The bundle that was made, and the root that vouches for it."""

    file: str
    root: str


def build(asked: ToBuild) -> BuiltBundle:
    """In a child process: fetch upstream's files, what has changed of them, and build a bundle signed here."""
    from redoubt.definitions import keys
    from redoubt.definitions.build import build as build_records
    from redoubt.definitions.fetching import online
    from redoubt.definitions.publish import publish
    from redoubt.definitions.sources import select

    folder = Path(asked.folder)
    now = datetime.now(UTC)
    signing = folder / "keys"
    root = signing / "root.json"
    if not root.is_file():
        root = keys.keygen(signing, now)
    with egress.client(retry=egress.Retry(attempts=4)) as client:
        made = online(folder / "mirror", select(None), client, state=folder, now=now)
    out = folder / "built.zip"
    with build_records(made, None, temporary=folder) as built:
        publish(built, out, [keys.load_key(signing)], channel=CHANNEL, now=now)
    return BuiltBundle(str(out), str(root))


class Online:
    """A part of Central in online mode. ``note`` is told of what became active, and how."""

    def __init__(
        self,
        definitions: Definitions,
        folder: Path,
        policy: egress.Policy,
        note: Note,
        *,
        url: str = "",
        build_every: float = BUILD_EVERY,
    ) -> None:
        self._definitions = definitions
        self._folder = folder
        self._policy = policy
        self._note = note
        self._url = url
        self._build_every = build_every
        self._task = tasks.Background()
        self.problem = ""
        self.checked = ""

    async def start(self) -> None:
        """Begin: at once the first time, then at intervals."""
        with durable.writing(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
        self._task.begin(self._run(), "definitions online")

    async def stop(self) -> None:
        """End it; what is under way is given up."""
        await self._task.end()

    async def _run(self) -> None:
        while True:
            await self.once()
            if self._url:
                await asyncio.sleep(random.uniform(SOONEST, LATEST))  # noqa: S311  # spreads load
            else:
                await asyncio.sleep(self._build_every * random.uniform(0.95, 1.05))  # noqa: S311

    async def once(self) -> None:
        """Look once. Never raises: what was active stays."""
        try:
            with refusals.asking("definitions, online"):
                await (self._fetch() if self._url else self._build())
        except (RedoubtError, OSError) as error:
            self.problem = str(error)
            _log.warning("definitions not renewed", reason=self.problem)
        else:
            self.problem, self.checked = "", timestamp(None)

    async def _fetch(self) -> None:
        known = self._known()
        file = self._folder / "fetched.zip"

        def work() -> egress.Downloaded:
            with egress.client(policy=self._policy) as client:
                return egress.download(
                    client, self._url, file, limit=_LARGEST, etag=known.etag, modified=known.modified
                )

        got = await asyncio.to_thread(work)
        if not got.changed:
            return
        try:
            await self._take(file)
        finally:
            file.unlink(missing_ok=True)
        # Only now: what could not be taken in is asked for again.
        now = _Known(url=self._url, etag=got.etag, modified=got.modified)
        durable.replace(self._folder / "known.json", msgspec.json.encode(now))

    async def _build(self) -> None:
        made = await children.run(
            "redoubt.central.definitions.online:build", ToBuild(str(self._folder)), BuiltBundle, nice=10
        )
        await self._definitions.trust(await asyncio.to_thread(Path(made.root).read_bytes), CHANNEL)
        await self._take(Path(made.file))

    async def _take(self, file: Path) -> None:
        done = await self._definitions.take_newer(file)
        if not done.already_active:
            await self._note(done, "fetch")

    def _known(self) -> _Known:
        try:
            known = msgspec.json.decode((self._folder / "known.json").read_bytes(), type=_Known)
        except (OSError, msgspec.MsgspecError):
            return _Known()
        return known if known.url == self._url else _Known()
