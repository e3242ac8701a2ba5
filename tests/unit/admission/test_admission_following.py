"""Settings from the Sensor, the ConfigMap and the disk: the newest counts, and what is broken changes nothing."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from redoubt.admission import following, rules
from redoubt.admission.following import Follower, packed
from redoubt.admission.rules import Rules
from redoubt.errors import NetworkError, RedoubtError, UnreadableInput
from redoubt.model.cluster import ADMISSION_CONFIG_KEY
from redoubt.policies.policy import written
from support.admission import default, settings

LATEST = default("Latest tag")


class Teller:
    """A Sensor that says what is put, and goes away with an error."""

    def __init__(self) -> None:
        self.said: asyncio.Queue[bytes | RedoubtError] = asyncio.Queue()
        self.asked: list[int] = []
        self.connected = False

    async def changes(self, revision: int) -> AsyncIterator[bytes]:
        self.asked.append(revision)
        while True:
            content = await self.said.get()
            self.connected = not isinstance(content, RedoubtError)
            if isinstance(content, RedoubtError):
                raise content
            yield content


class Followed:
    """A follower, and what it told."""

    def __init__(self, folder: Path, teller: Teller | None = None, mounted: Path | None = None) -> None:
        self.rules: list[Rules] = []
        self.follower = Follower(self.rules.append, folder / "data", teller=teller, mounted=mounted)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition():
                await asyncio.sleep(0.005)


def test_what_the_sensor_says_counts_and_is_there_after_a_restart(tmp_path: Path) -> None:
    async def work() -> None:
        teller = Teller()
        followed = Followed(tmp_path, teller)
        await followed.follower.start()
        assert followed.rules == []
        await teller.said.put(settings(5, LATEST))
        await followed.until(lambda: (tmp_path / "data" / "settings.json").exists())
        await followed.follower.stop()
        again = Followed(tmp_path, Teller())
        await again.follower.start()
        assert [each.revision for each in again.rules] == [5]
        assert len(again.rules[0].created.described.compiled) == 1
        await again.follower.stop()

    asyncio.run(work())


def test_the_newest_counts_wherever_it_is_from(tmp_path: Path) -> None:
    async def work() -> None:
        mounted = tmp_path / "mounted"
        mounted.mkdir()
        (mounted / ADMISSION_CONFIG_KEY).write_bytes(packed(settings(3, LATEST)))
        teller = Teller()
        followed = Followed(tmp_path, teller, mounted)
        await followed.follower.start()
        assert [each.revision for each in followed.rules] == [3]
        for revision in (2, 3, 4):
            await teller.said.put(settings(revision, LATEST))
        await followed.until(lambda: followed.rules[-1].revision == 4)
        assert [each.revision for each in followed.rules] == [3, 4]
        await followed.follower.stop()

    asyncio.run(work())


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"null",
        b"[]",
        b'{"revision":9}',
        b'{"revision":"x","config":{}}',
        b'{"revision":9,"config":{"admission":{"atDeadline":"MAYBE"}}}',
        b"\xff" * 100,
        b"[" * 100_000,
        settings(9, LATEST)[:-5],
    ],
)
def test_what_is_broken_does_not_take_the_place_of_what_counts(tmp_path: Path, bad: bytes) -> None:
    async def work() -> None:
        mounted = tmp_path / "mounted"
        mounted.mkdir()
        (mounted / ADMISSION_CONFIG_KEY).write_bytes(packed(bad))
        teller = Teller()
        followed = Followed(tmp_path, teller, mounted)
        await followed.follower.start()
        await teller.said.put(settings(1, LATEST))
        await teller.said.put(bad)
        await teller.said.put(settings(2, LATEST))
        await followed.until(lambda: bool(followed.rules) and followed.rules[-1].revision == 2)
        assert [each.revision for each in followed.rules] == [1, 2]
        await followed.follower.stop()
        (tmp_path / "data" / "settings.json").write_bytes(bad)
        again = Followed(tmp_path)
        await again.follower.start()
        assert again.rules == []
        await again.follower.stop()

    asyncio.run(work())


def test_one_policy_that_nobody_understands_does_not_take_the_others_away() -> None:
    content = msgspec.json.decode(settings(1, LATEST))
    unreadable, unknown = {"name": 5}, msgspec.json.decode(written(LATEST))
    unknown["policySections"][0]["policyGroups"][0]["fieldName"] = "Of A Later Version"
    content["policies"] += [unreadable, unknown]
    made = rules.read(msgspec.json.encode(content))
    assert (made.unreadable, made.refused) == (1, ["Latest tag"])
    assert len(made.created.described.compiled) == 1


@pytest.mark.parametrize(
    "bad", [b"", b"no gzip", gzip.compress(b"x" * 100, mtime=0)[:-9], b"\x1f\x8b" + b"\x00" * 50]
)
def test_what_is_not_packed_is_said(bad: bytes) -> None:
    with pytest.raises(UnreadableInput):
        following._unpacked(bad)


def test_what_would_become_too_much_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "LARGEST", 1000)
    with pytest.raises(UnreadableInput, match="larger"):
        following._unpacked(gzip.compress(b"x" * 10_000_000))


def test_a_sensor_that_comes_back_is_asked_from_where_we_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "_FIRST", 0.01)

    async def work() -> None:
        teller = Teller()
        followed = Followed(tmp_path, teller)
        await followed.follower.start()
        await teller.said.put(settings(1, LATEST))
        await followed.until(lambda: bool(followed.rules))
        assert followed.follower.connected
        await teller.said.put(NetworkError("gone"))
        await followed.until(lambda: len(teller.asked) == 2)
        assert teller.asked == [0, 1]
        assert not followed.follower.connected
        await teller.said.put(settings(2, LATEST))
        await followed.until(lambda: len(followed.rules) == 2)
        await followed.follower.stop()

    asyncio.run(work())


def test_a_fault_of_ours_ends_no_following(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "_FIRST", 0.01)
    monkeypatch.setattr(following, "MOUNTED", 0.01)

    async def work() -> None:
        teller, mounted = Teller(), tmp_path / "mounted"
        mounted.mkdir()
        followed = Followed(tmp_path, teller, mounted)
        await followed.follower.start()
        failures = [ZeroDivisionError(), ZeroDivisionError()]

        def faulty(content: bytes) -> Rules:
            if failures:
                raise failures.pop()
            return rules.read(content)

        with monkeypatch.context() as faults:
            faults.setattr(following, "rules", SimpleNamespace(read=faulty))
            await teller.said.put(settings(1, LATEST))
            await followed.until(lambda: len(teller.asked) == 2)
            (mounted / ADMISSION_CONFIG_KEY).write_bytes(packed(settings(2, LATEST)))
            await followed.until(lambda: not failures)
        await teller.said.put(settings(3, LATEST))
        await followed.until(lambda: len(followed.rules) == 1)
        (mounted / ADMISSION_CONFIG_KEY).write_bytes(packed(settings(4, LATEST)))
        await followed.until(lambda: len(followed.rules) == 2)
        await followed.follower.stop()

    asyncio.run(work())


def test_the_time_for_a_review_is_what_kubernetes_allows() -> None:
    for said, counts in ((0, 1.0), (-5, 1.0), (10, 10.0), (3600, 28.0)):
        assert rules.read(settings(1, timeout_seconds=said)).timeout == counts
