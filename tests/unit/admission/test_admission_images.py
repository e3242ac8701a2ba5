"""What is kept of images: for how long, how much, and how often it is asked for."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import msgspec
import pytest

from redoubt.admission import images, rules
from redoubt.admission.images import UNKNOWN_LIFETIME, Images
from redoubt.indexer.sources.reference import named
from redoubt.model.scannedimage import ImageScan, ScannedComponent, ScannedImage
from redoubt.wire.failures import NotFound, Unavailable
from support.admission import default, settings

NOW = datetime(2099, 6, 1, tzinfo=UTC)
RULES = rules.read(settings(1, default("Images with no scans")))
NAME = named("shop:1")


def scanned(digest: str = "sha256:" + "a" * 64, parts: int = 1) -> ScannedImage:
    components = tuple(ScannedComponent(name=f"part-{at}", version="1") for at in range(parts))
    return ScannedImage(id=digest, scan=ImageScan(components=components))


class Source:
    """Answers with ``answer``; ``gate`` holds it up."""

    def __init__(self, answer: ScannedImage | bytes | Exception) -> None:
        self.answer = answer
        self.asked: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def image(self, name: str, *, cached: bool, namespace: str) -> bytes:
        self.asked.append(name)
        await self.gate.wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer if isinstance(self.answer, bytes) else msgspec.json.encode(self.answer)


class Kept:
    """Images with a clock of the test's."""

    def __init__(self, source: Source, memory: int = 1 << 20) -> None:
        self.source = source
        self.time = 0.0
        self.images = Images(source, lifetime=100, memory=memory, simultaneous=2, clock=lambda: self.time)

    async def ask(self, name: str = "shop:1", digest: str = "", used: rules.Rules = RULES) -> bool:
        """Whether it is scanned."""
        part = await self.images.ask(named(name), digest, used, NOW, cached=False, namespace="")
        return part.view.image.scan is not None


def test_an_image_is_kept_for_its_lifetime() -> None:
    async def work() -> None:
        kept = Kept(Source(scanned()))
        assert await kept.ask()
        kept.time = 99
        assert await kept.ask()
        assert kept.images.known(NAME, "", RULES, NOW) is not None
        kept.time = 101
        assert kept.images.known(NAME, "", RULES, NOW) is None
        assert await kept.ask()
        assert len(kept.source.asked) == 2

    asyncio.run(work())


def test_whoever_waits_for_the_same_image_waits_together() -> None:
    async def work() -> None:
        kept = Kept(Source(scanned()))
        kept.source.gate.clear()
        waiting = [asyncio.create_task(kept.ask()) for _ in range(20)]
        await asyncio.sleep(0.01)
        kept.source.gate.set()
        assert all(await asyncio.gather(*waiting))
        assert len(kept.source.asked) == 1

    asyncio.run(work())


def test_what_was_begun_is_ended_though_nobody_waits_any_more() -> None:
    async def work() -> None:
        kept = Kept(Source(scanned()))
        kept.source.gate.clear()
        asking = asyncio.create_task(kept.ask())
        async with asyncio.timeout(30):
            while not kept.source.asked:
                await asyncio.sleep(0.001)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        kept.source.gate.set()
        async with asyncio.timeout(30):
            while kept.images.known(NAME, "", RULES, NOW) is None:
                await asyncio.sleep(0.001)
        assert len(kept.source.asked) == 1

    asyncio.run(work())


def test_what_waits_for_its_turn_ends_with_the_last_who_wants_it() -> None:
    async def work() -> None:
        kept = Kept(Source(scanned()))
        kept.source.gate.clear()
        # Two are asked for at a time.
        waiting = [asyncio.create_task(kept.ask(f"shop:{at}")) for at in range(50)]
        wanted = asyncio.create_task(kept.ask("shop:7"))
        await asyncio.sleep(0.01)
        for each in waiting:
            each.cancel()
        # Who comes at this very moment is no victim of who went.
        again = asyncio.create_task(kept.ask("shop:8"))
        await asyncio.gather(*waiting, return_exceptions=True)
        kept.source.gate.set()
        assert await wanted
        assert await again
        names = [each.rpartition(":")[2] for each in kept.source.asked]
        assert names == ["0", "1", "7", "8"]
        await kept.images.close()

    asyncio.run(work())


def test_only_so_many_images_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "_MOST", 5)

    async def work() -> None:
        kept = Kept(Source(scanned()))
        kept.source.gate.clear()
        waiting = [asyncio.create_task(kept.ask(f"shop:{at}")) for at in range(5)]
        await asyncio.sleep(0.01)
        with pytest.raises(Unavailable):
            await kept.ask("one-more:1")
        # What is asked for already can be waited for.
        same = asyncio.create_task(kept.ask("shop:4"))
        for each in waiting[2:]:
            each.cancel()
        await asyncio.gather(*waiting[2:], return_exceptions=True)
        kept.source.gate.set()
        assert await same
        assert await kept.ask("one-more:1")
        await kept.images.close()

    asyncio.run(work())


def test_one_nobody_knows_is_asked_for_again_after_a_while() -> None:
    async def work() -> None:
        kept = Kept(Source(NotFound("no such image")))
        assert not await kept.ask()
        assert not await kept.ask()
        assert len(kept.source.asked) == 1
        kept.source.answer = scanned()
        kept.time = UNKNOWN_LIFETIME + 1
        assert await kept.ask()

    asyncio.run(work())


@pytest.mark.parametrize("answer", [b"", b"[]", b'{"scan":5}', b"\xff", Unavailable("away")])
def test_what_cannot_be_had_or_read_is_unavailable_and_not_kept(answer: bytes | Exception) -> None:
    async def work() -> None:
        kept = Kept(Source(answer))
        for _ in range(2):
            with pytest.raises(Unavailable):
                await kept.ask()
        assert len(kept.source.asked) == 2
        assert kept.images.size == 0

    asyncio.run(work())


def test_memory_is_bounded_and_the_least_used_goes_first() -> None:
    async def work() -> None:
        source = Source(scanned())
        kept = Kept(source, memory=100_000)
        for at in range(50):
            source.answer = scanned(f"sha256:{at:064x}", parts=100)
            await kept.ask(f"shop:{at}")
            await kept.ask("shop:0")
            assert kept.images.size <= 100_000
        asked = len(source.asked)
        await kept.ask("shop:0")
        assert len(source.asked) == asked
        source.answer = scanned(parts=20_000)
        assert await kept.ask("huge:1")
        assert kept.images.known(named("huge:1"), "", RULES, NOW) is None

    asyncio.run(work())


def test_names_of_one_digest_share_what_is_kept_and_a_digest_is_asked_for_by_itself() -> None:
    async def work() -> None:
        kept = Kept(Source(scanned()))
        await kept.ask("shop:1")
        size = kept.images.size
        await kept.ask("mirror/shop:1")
        assert kept.images.size == size
        await kept.ask("shop:1", "sha256:" + "c" * 64)
        assert kept.source.asked[-1] == "docker.io/library/shop:1@sha256:" + "c" * 64

    asyncio.run(work())


def test_other_rules_ask_the_same_image_anew_and_forgetting_forgets() -> None:
    async def work() -> None:
        kept = Kept(Source(scanned()))
        one = await kept.images.ask(NAME, "", RULES, NOW, cached=False, namespace="")
        again = await kept.images.ask(NAME, "", RULES, NOW, cached=False, namespace="")
        other = rules.read(settings(2, default("Fixable Severity at least Important")))
        two = await kept.images.ask(NAME, "", other, NOW, cached=False, namespace="")
        assert one is again
        assert one is not two
        assert len(kept.source.asked) == 1
        kept.images.forget()
        assert kept.images.size == 0
        assert await kept.ask()
        assert len(kept.source.asked) == 2

    asyncio.run(work())
