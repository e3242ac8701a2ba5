"""Probes from upstream: fetched once, kept within a limit, and never by an offline Central that names no place."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from redoubt.central.config import Settings, load
from redoubt.central.probes import upstream
from redoubt.central.probes.upstream import Upstream
from redoubt.central.refusals import Unavailable
from redoubt.egress import Policy
from redoubt.errors import UsageError
from support.web import Answer, Asked, Web

NAME = "2.9.0/collector-ebpf-6.1.0-3 beta.o.gz"
PROBE = gzip.compress(b"probe")


def with_upstream(web: Web, folder: Path, work: Callable[[Upstream], Awaitable[None]], **more: int) -> None:
    async def whole() -> None:
        source = Upstream(f"{web.url}/base/", folder / "fetched", Policy(), **more)
        source.start()
        try:
            await work(source)
        finally:
            await source.stop()

    asyncio.run(whole())


def test_a_probe_is_fetched_once_however_many_ask(tmp_path: Path) -> None:
    async def work(source: Upstream) -> None:
        found = await asyncio.gather(*(source.get(NAME) for _ in range(8)))
        again = await source.get(NAME)
        assert {path.read_bytes() for path in (*found, again) if path is not None} == {PROBE}

    with Web(lambda _: Answer(body=PROBE)) as web:
        with_upstream(web, tmp_path, work)
        assert [asked.path for asked in web.asked] == ["/base/2.9.0/collector-ebpf-6.1.0-3%20beta.o.gz"]


@pytest.mark.parametrize("status", [403, 404])
def test_what_upstream_does_not_have_is_asked_for_once(tmp_path: Path, status: int) -> None:
    async def work(source: Upstream) -> None:
        assert await source.get(NAME) is None
        assert await source.get(NAME) is None

    with Web(lambda _: Answer(status=status)) as web:
        with_upstream(web, tmp_path, work)
        assert len(web.asked) == 1


@pytest.mark.parametrize(
    "answer",
    [Answer(body=b"<html>log in</html>"), Answer(body=PROBE + b"x" * 5000), Answer(body=PROBE, length=9999)],
    ids=["no probe", "too large", "breaks off"],
)
def test_what_is_no_probe_is_not_kept_and_may_be_asked_for_again(tmp_path: Path, answer: Answer) -> None:
    broken = True

    def say(asked: Asked) -> Answer:
        return answer if broken else Answer(body=PROBE)

    async def work(source: Upstream) -> None:
        nonlocal broken
        with pytest.raises(Unavailable):
            await source.get(NAME)
        assert list((tmp_path / "fetched").iterdir()) == []
        broken = False
        found = await source.get(NAME)
        assert found is not None
        assert found.read_bytes() == PROBE

    with Web(say) as web:
        with_upstream(web, tmp_path, work, largest=1000)


def test_what_was_not_asked_for_the_longest_goes_first(tmp_path: Path) -> None:
    async def work(source: Upstream) -> None:
        first = await source.get("1.0.0/collector-5.1.ko.gz")
        second = await source.get("1.0.0/collector-5.2.ko.gz")
        assert await source.get("1.0.0/collector-5.1.ko.gz") == first
        third = await source.get("1.0.0/collector-5.3.ko.gz")
        assert first is not None
        assert set((tmp_path / "fetched").iterdir()) == {first, third}
        assert second not in (first, third)

    with Web(lambda _: Answer(body=PROBE)) as web:
        with_upstream(web, tmp_path, work, kept=2 * len(PROBE))


def test_a_full_disk_fetches_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upstream, "RESERVE", 1 << 62)

    async def work(source: Upstream) -> None:
        with pytest.raises(Unavailable, match="full"):
            await source.get(NAME)

    with Web(lambda _: Answer(body=PROBE)) as web:
        with_upstream(web, tmp_path, work)
        assert web.asked == []


def chosen(url: str, *, offline: bool, folder: Path) -> Upstream | None:
    return upstream.chosen(Settings(kernel_objects_url=url), Policy(offline=offline), folder)


def test_offline_central_asks_only_a_place_that_it_was_told(tmp_path: Path) -> None:
    assert chosen("", offline=True, folder=tmp_path) is None
    assert chosen("none", offline=False, folder=tmp_path) is None
    default = chosen("", offline=False, folder=tmp_path)
    assert default is not None
    assert default._url == upstream.URL
    asyncio.run(default.stop())

    async def work() -> None:
        with Web(lambda _: Answer(body=PROBE)) as web:
            mirror = chosen(web.url, offline=True, folder=tmp_path)
            assert mirror is not None
            assert await mirror.get(NAME) is not None
            await mirror.stop()

    asyncio.run(work())


@pytest.mark.parametrize("url", ["ftp://a/b", "https://", "a", "https://me:secret@a/b", "https://[x"])
def test_addresses_that_are_none_are_refused_at_start(url: str) -> None:
    with pytest.raises(UsageError, match="kernel_objects_url") as refused:
        load(environment={"ROX_COLLECTOR_MODULES_BASE_URL": url})
    assert "secret" not in str(refused.value)
