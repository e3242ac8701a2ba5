"""Alerts and figures on their way to a Sensor that is away, and back again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from redoubt.admission import reporting, telling
from redoubt.admission.figures import Figures
from redoubt.admission.keeping import Kept
from redoubt.admission.reporting import Outbox
from redoubt.errors import NetworkError
from redoubt.model.cluster import AdmissionFigures
from redoubt.policies.alerts import Alert
from support.policies import NOW, container, deployed, deployment, group, policy

BROKEN = policy([group("Privileged Container", "false")])


class Line:
    """A Sensor; ``away`` for a while."""

    def __init__(self, *, away: bool = False) -> None:
        self.away = away
        self.alerts: list[Alert] = []
        self.figures: list[AdmissionFigures] = []

    async def report(self, alerts: bytes, figures: bytes) -> None:
        if self.away:
            raise NetworkError("away")
        self.alerts += msgspec.json.decode(alerts, type=list[Alert])
        self.figures.append(msgspec.json.decode(figures, type=AdmissionFigures))


def attempts(name: str) -> Sequence[Alert]:
    what = deployment(container(), name=name)
    return telling.attempted(deployed(BROKEN, what).broken, what, "FAIL_DEPLOYMENT_CREATE_ENFORCEMENT", NOW)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.002)


def outbox(line: Line) -> tuple[Outbox, Figures]:
    figures = Figures("here", CollectorRegistry())
    return Outbox(line, figures, interval=0.001), figures


def test_what_was_refused_arrives_with_what_was_counted() -> None:
    async def work() -> None:
        line = Line()
        box, figures = outbox(line)
        box.start()
        figures.count("denied")
        figures.count("spared")
        box.tell(attempts("shop"))
        await until(lambda: bool(line.alerts))
        assert line.figures[0] == AdmissionFigures(hostname="here", denied=1)
        figures.count("allowed")
        box.tell(attempts("shop"))
        await until(lambda: len(line.alerts) == 2)
        assert line.figures[-1] == AdmissionFigures(hostname="here", allowed=1)
        await box.stop()

    asyncio.run(work())


def test_what_is_tried_again_and_again_is_one_alert() -> None:
    async def work() -> None:
        line = Line()
        box, _ = outbox(line)
        first = attempts("shop")[0]
        box.tell([first])
        for _ in range(99):
            box.tell(attempts("shop"))
        box.tell(attempts("another"))
        assert box.waiting == 2
        box.start()
        await until(lambda: len(line.alerts) == 2)
        shop = next(a for a in line.alerts if a.deployment is not None and a.deployment.name == "shop")
        assert (shop.id, shop.enforcement_count) == (first.id, 100)
        await box.stop()

    asyncio.run(work())


def test_alerts_wait_for_a_sensor_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reporting, "_FIRST", 0.005)

    async def work() -> None:
        line = Line(away=True)
        box, figures = outbox(line)
        box.start()
        figures.count("denied")
        for at in range(250):
            box.tell(attempts(f"shop-{at}"))
        await asyncio.sleep(0.02)
        assert box.waiting == 250
        line.away = False
        await until(lambda: box.waiting == 0)
        assert len(line.alerts) == 250
        assert sum(each.denied for each in line.figures) == 1
        await box.stop()

    asyncio.run(work())


def test_what_may_have_arrived_is_sent_again_as_it_was_and_what_comes_meanwhile_by_another_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reporting, "_FIRST", 0.005)

    class Deaf(Line):
        """It has what it is told; its answers do not arrive, once."""

        async def report(self, alerts: bytes, figures: bytes) -> None:
            await super().report(alerts, figures)
            if len(self.figures) == 1:
                box.tell(attempts("shop"))
                raise NetworkError("the answer is lost")

    line = Deaf()
    box, _ = outbox(line)

    async def work() -> None:
        box.start()
        box.tell(attempts("shop"))
        await until(lambda: len(line.alerts) == 3 and not box.waiting)
        await box.stop()

    asyncio.run(work())
    first, again, new = line.alerts
    assert again == first
    assert new.id != first.id
    assert (first.enforcement_count, new.enforcement_count) == (1, 1)


def test_what_does_not_fit_is_dropped_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        monkeypatch.setattr(reporting, "MOST", 10)
        line = Line()
        box, figures = outbox(line)
        for at in range(25):
            box.tell(attempts(f"shop-{at}"))
        assert (box.waiting, figures.dropped) == (10, 15)
        monkeypatch.setattr(reporting, "MEMORY", 1)
        box.tell(attempts("shop-0"))
        assert (box.waiting, figures.dropped) == (9, 16)
        box.start()
        await until(lambda: bool(line.figures))
        assert line.figures[0].dropped == 16
        await box.stop()

    asyncio.run(work())


def test_no_word_is_larger_than_a_message_and_an_alert_that_is_holds_nothing_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Measuring(Line):
        sizes: list[int]

        async def report(self, alerts: bytes, figures: bytes) -> None:
            self.sizes.append(len(alerts))
            await super().report(alerts, figures)

    async def work() -> None:
        line = Measuring()
        line.sizes = []
        box, figures = outbox(line)
        given = [attempts(f"shop-{at}")[0] for at in range(8)]
        size = len(msgspec.json.encode(given[0]))
        monkeypatch.setattr(reporting, "LARGEST", 3 * size + size // 2)
        huge = msgspec.structs.replace(attempts("huge")[0], namespace="n" * 4 * size)
        box.tell([huge, *given])
        assert (box.waiting, figures.dropped) == (8, 1)
        await box.stop()
        assert [each.id for each in line.alerts] == [each.id for each in given]
        assert len(line.sizes) == 3
        assert max(line.sizes) <= 3 * size + size // 2 + 4

    asyncio.run(work())


def test_what_waits_at_the_end_is_sent_if_that_is_quickly_done() -> None:
    async def work() -> None:
        line = Line()
        box, _ = outbox(line)
        box.tell(attempts("shop"))
        await box.stop()
        assert len(line.alerts) == 1
        line.away = True
        box.tell(attempts("shop"))
        await box.stop()

    asyncio.run(work())


def kept_outbox(line: Line, folder: Path) -> tuple[Outbox, Figures]:
    figures = Figures("here", CollectorRegistry())
    return Outbox(line, figures, Kept(folder, pause=0.001), interval=0.001), figures


def on_disk(folder: Path) -> list[str]:
    """The ids of what is kept."""
    return sorted(
        each.id
        for path in folder.glob("[0-9]*.json")
        for each in msgspec.json.decode(path.read_bytes(), type=list[Alert])
    )


def test_what_waits_is_there_after_a_kill_and_gone_when_the_sensor_has_it(tmp_path: Path) -> None:
    given = [attempts(f"shop-{at}")[0] for at in range(300)]
    wanted = sorted(each.id for each in given)

    async def killed() -> None:
        box, _ = kept_outbox(Line(away=True), tmp_path)
        await box.load()
        box.start()
        box.tell(given)
        for _ in range(4):
            box.tell(attempts("shop-0"))
        await until(lambda: on_disk(tmp_path) == wanted)
        (tmp_path / ".7.json.0badcafe").write_bytes(
            b"[half"
        )  # nothing is stopped: its task just ends with the loop

    async def started_again() -> None:
        line = Line()
        box, figures = kept_outbox(line, tmp_path)
        await box.load()
        assert (box.waiting, figures.dropped) == (300, 0)
        box.tell(attempts("shop-0"))  # another one: the Sensor may have that of before
        box.start()
        await until(lambda: len(line.alerts) == 301 and not list(tmp_path.iterdir()))
        assert sorted(each.id for each in line.alerts[:300]) == wanted
        first = next(each for each in line.alerts if each.id == given[0].id)
        assert first.enforcement_count == 5
        await box.stop()

    asyncio.run(killed())
    asyncio.run(started_again())


def test_what_waits_at_the_end_is_kept(tmp_path: Path) -> None:
    async def work() -> None:
        box, _ = kept_outbox(Line(away=True), tmp_path)
        box.start()
        box.tell(attempts("shop"))
        await box.stop()
        assert len(on_disk(tmp_path)) == 1

    asyncio.run(work())


def test_what_the_sensor_has_at_once_is_never_written(tmp_path: Path) -> None:
    async def work() -> None:
        line = Line()
        figures = Figures("here", CollectorRegistry())
        box = Outbox(line, figures, Kept(tmp_path, pause=0.2), interval=0.001)
        await box.load()
        before = tmp_path.stat().st_mtime_ns
        box.start()
        box.tell(attempts("shop"))
        await until(lambda: len(line.alerts) == 1 and not box.waiting)
        await box.stop()
        assert tmp_path.stat().st_mtime_ns == before

    asyncio.run(work())


def test_spoilt_files_are_set_aside_and_a_disk_that_fails_loses_nothing(tmp_path: Path) -> None:
    (tmp_path / "3.json").write_bytes(b"[{]")
    (tmp_path / "4.json").write_bytes(b'[{"id": 5}]')
    (tmp_path / "odd.json").write_bytes(b"[]")

    async def work() -> None:
        line = Line(away=True)
        figures = Figures("here", CollectorRegistry())
        kept = Kept(tmp_path / "there", pause=0.001)
        (tmp_path / "there").write_bytes(b"a file in place of the folder")
        box = Outbox(line, figures, kept, interval=0.001)
        await box.load()
        box.start()
        box.tell(attempts("shop"))
        await until(lambda: bool(kept.problem))
        assert box.waiting == 1
        line.away = False
        await until(lambda: not box.waiting)
        await box.stop()
        spoilt, figures = kept_outbox(Line(), tmp_path)
        await spoilt.load()
        assert (spoilt.waiting, figures.dropped) == (0, 1)
        assert {each.name for each in tmp_path.glob("*.spoilt")} == {"3.spoilt", "odd.spoilt"}

    asyncio.run(work())
