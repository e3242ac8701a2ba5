"""Probes that a Sensor fetches for Collectors: from Central once, and never by a name that is none."""

from __future__ import annotations

import asyncio

import pytest

from redoubt.errors import NetworkError
from redoubt.sensor.serving import probes
from redoubt.sensor.serving.probes import Probes
from redoubt.wire.failures import NotFound, Unavailable

VERSION = "a" * 64


class Central:
    def __init__(self) -> None:
        self.asked: list[str] = []
        self.has: dict[str, bytes] = {}
        self.away = False

    async def __call__(self, path: str) -> bytes:
        self.asked.append(path)
        if self.away:
            raise NetworkError("nobody answers")
        if path not in self.has:
            raise NotFound("none")
        return self.has[path]


def test_a_probe_is_fetched_once() -> None:
    central = Central()
    central.has[f"{VERSION}/collector-ebpf-5.10.0-26-amd64.o.gz"] = b"probe"
    kept = Probes(central)

    async def work() -> None:
        found = await asyncio.gather(*(kept.get("5.10.0-26-amd64", VERSION) for _ in range(5)))
        assert found == [b"probe"] * 5

    asyncio.run(work())
    assert len(central.asked) == 1


def test_that_there_is_none_is_believed_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    central = Central()
    kept = Probes(central)
    for _ in range(3):
        with pytest.raises(NotFound):
            asyncio.run(kept.get("5.10", VERSION))
    assert len(central.asked) == 1
    monkeypatch.setattr("redoubt.sensor.serving.probes.time.monotonic", lambda: 1e12)
    with pytest.raises(NotFound):
        asyncio.run(kept.get("5.10", VERSION))
    assert len(central.asked) == 2


def test_a_central_that_is_away_is_told_and_asked_again() -> None:
    central = Central()
    central.away = True
    kept = Probes(central)
    for _ in range(2):
        with pytest.raises(Unavailable):
            asyncio.run(kept.get("5.10", VERSION))
    assert len(central.asked) == 2


@pytest.mark.parametrize(
    "kernel", ["", "../../v1/alerts", "a/b", "a?b", "a b", "%2e%2e", ".hidden", "x" * 500, "a\n"]
)
def test_what_is_no_kernels_name_is_not_asked_for(kernel: str) -> None:
    central = Central()
    for asked in ((kernel, VERSION), ("5.10", kernel)):
        with pytest.raises(NotFound):
            asyncio.run(Probes(central).get(*asked))
    assert central.asked == []


def test_only_so_much_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "_KEPT", 25)
    central = Central()
    central.has = {f"{VERSION}/collector-ebpf-{kernel}.o.gz": b"x" * 10 for kernel in range(4)}
    kept = Probes(central)
    for kernel in (0, 1, 2, 3, 3, 2, 0):
        asyncio.run(kept.get(str(kernel), VERSION))
    assert [path[-6] for path in central.asked] == ["0", "1", "2", "3", "0"]
