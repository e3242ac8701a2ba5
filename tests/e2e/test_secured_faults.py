"""A secured cluster whose services are killed: Central, Sensor, Admission controller and Collector, in one order and another.

There are 24 orders. A run has some, another day others; all of them with ``make faults`` (``REDOUBT_FAULTS=all``).
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from urllib.parse import quote

import pytest

from support.kernel import needs_bpf
from support.kube import Cluster, kube
from support.secured import FORBIDDEN, Secured, refusal, running, workload
from support.storm import IMAGE, Shop, Storm, shop, storm

__all__ = ["kube"]

SERVICES = ("central", "sensor", "admission", "collector")
ORDERS = list(itertools.permutations(SERVICES))
ALL = os.environ.get("REDOUBT_FAULTS") == "all"
#: What a run has: each service is killed first once, and the rest is another every day.
TOGETHER = ORDERS if ALL else [tuple(each) for each in zip(SERVICES)]
IN_TURN = ORDERS if ALL else [()]


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory, kube: Cluster) -> Iterator[Secured]:
    with running(tmp_path_factory.mktemp("secured"), kube) as cluster:
        cluster.central.ask("POST", "/v1/policies", FORBIDDEN)
        cluster.admission.start()
        forbidden = workload("default", "forbidden", IMAGE, securityContext={"privileged": True})
        cluster.until("the API server to refuse", lambda: refusal(cluster, forbidden))
        yield cluster


@pytest.fixture(scope="module")
def busy(secured: Secured, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """With a Collector, and a container that it watches."""
    with shop(secured, tmp_path_factory.mktemp("shop")) as made:
        secured.collector.start()
        yield made


def order_of(beginning: tuple[str, ...]) -> tuple[str, ...]:
    """Today's order with this beginning."""
    those = [each for each in ORDERS if each[: len(beginning)] == beginning]
    return those[datetime.now(UTC).date().toordinal() % len(those)]


def kill(secured: Secured, name: str) -> None:
    secured.up.kill() if name == "central" else getattr(secured, name).kill()


def start(secured: Secured, name: str) -> None:
    secured.up.start() if name == "central" else getattr(secured, name).start()


def is_back(secured: Secured, name: str, seen: int, made: Storm, since: float) -> None:
    """Wait until a service that was started does its work: it watches, or refuses."""
    if name == "collector":
        secured.until("the Collector to watch", lambda: secured.collector.said().count("watching") > seen)
    if name == "admission":
        secured.until(
            "the API server to refuse", lambda: any(yes and began > since for began, _, yes in made.tried)
        )


def told(made: Storm, expected: set[str]) -> bool:
    """Whether Central has these programs, and none twice or that never ran."""
    rows = made.shop.started()
    mine = {word: number for word, number in rows.items() if word.startswith(f"{made.name}-")}
    assert set(mine) <= set(made.started), "programs that never ran"
    assert set(mine.values()) <= {1}, f"programs that are there twice: {mine}"
    return expected <= set(mine)


def attempts(made: Storm) -> int:
    """How many refusals Central knows of."""
    query = quote(f"Namespace:{made.namespace}+Violation State:ATTEMPTED")
    alerts = made.shop.secured.central.get(f"/v1/alerts?query={query}")["alerts"]
    assert len(alerts) <= 1, "one alert for a policy and a workload"
    return sum(int(each["enforcementCount"]) for each in alerts)


def check(made: Storm, expected: set[str], refused: int) -> None:
    """Central has all that it must have, once. ``refused``: refusals that were in no memory when that was killed."""
    secured = made.shop.secured
    secured.until("the programs at Central", lambda: told(made, expected))
    secured.until("the workloads at Central", lambda: set(secured.deployments(made.namespace)) == made.made)
    secured.until(f"{refused} refusals at Central", lambda: attempts(made) >= refused)
    assert attempts(made) <= made.refused
    active = secured.alerts(made.shop.namespace, "Violation State:ACTIVE+Lifecycle Stage:RUNTIME")
    assert active.count("nmap Execution") == 1


def refused_since(made: Storm, moment: float) -> int:
    return sum(yes for began, _, yes in made.tried if began > moment)


def enforced(made: Storm, since: float, until: float) -> None:
    """Nothing forbidden was let through while the admission controller was there."""
    let_through = [began for began, ended, yes in made.tried if began > since and ended < until and not yes]
    assert not let_through, f"{len(let_through)} forbidden workloads were let through"


def goes_on(made: Storm, since: float) -> None:
    """Wait until more happens."""
    made.shop.secured.until("programs to go on", lambda: len(made.since(since)) > 5)


def warm(secured: Secured, made: Storm) -> None:
    """Wait until all that comes before the fault works."""
    secured.until("programs at Central", lambda: any(each in made.started for each in made.shop.started()))
    secured.until("a refusal at Central", lambda: attempts(made))
    secured.until("a workload at Central", lambda: secured.deployments(made.namespace))


@needs_bpf
@pytest.mark.parametrize("beginning", TOGETHER, ids="-".join)
def test_all_are_killed_and_come_back_in_any_order(
    secured: Secured, busy: Shop, beginning: tuple[str, ...]
) -> None:
    order = order_of(beginning)
    with storm(busy, "+".join(each[:2] for each in order)) as made:
        warm(secured, made)
        known, counted = set(made.shop.started()), attempts(made)
        seen = secured.collector.said().count("watching")
        for name in order:
            if name == "admission":
                enforced(made, 0, time.monotonic())
            kill(secured, name)
        for name in order:
            since = time.monotonic()
            start(secured, name)
        for name in ("collector", "admission"):
            is_back(secured, name, seen, made, since)
        back = time.monotonic()
        goes_on(made, back)
        secured.until("refusals to go on", lambda: refused_since(made, back) > 3)
    enforced(made, back, time.monotonic())
    check(made, (known & set(made.started)) | set(made.since(back)), counted + refused_since(made, back))


@needs_bpf
@pytest.mark.parametrize("beginning", IN_TURN, ids=lambda given: "-".join(given) or "today's")
def test_each_is_killed_and_comes_back_in_turn_and_nothing_is_lost_meanwhile(
    secured: Secured, busy: Shop, beginning: tuple[str, ...]
) -> None:
    order = order_of(beginning)
    with storm(busy, "in-turn-" + "+".join(each[:2] for each in order)) as made:
        warm(secured, made)
        down: dict[str, tuple[float, float]] = {}
        arrived = 0.0
        for name in order:
            if name == "collector":  # what it has in its memory goes with it
                last, arrived = list(made.started.items())[-1]
                secured.until(f"{last} at Central", partial(told, made, {last}))
            seen, killed = secured.collector.said().count("watching"), time.monotonic()
            kill(secured, name)
            since = time.monotonic()
            start(secured, name)
            is_back(secured, name, seen, made, since)
            down[name] = killed, time.monotonic()
            goes_on(made, time.monotonic())
    gone, back = down["admission"]
    enforced(made, 0, gone)
    enforced(made, back, time.monotonic())
    _, watching = down["collector"]
    expected = {word for word, when in made.started.items() if when > watching or when <= arrived}
    check(made, expected, refused_since(made, back))


def test_with_central_and_sensor_gone_the_admission_controller_starts_and_refuses(secured: Secured) -> None:
    namespace = secured.kube.namespace()
    forbidden = workload(namespace, "forbidden", IMAGE, securityContext={"privileged": True})
    try:
        for name in ("central", "sensor", "admission"):
            kill(secured, name)
        secured.admission.start()
        said = secured.until("a refusal out of what is on disk", lambda: refusal(secured, forbidden))
        assert "No privileged container" in said
    finally:
        start(secured, "central")
        start(secured, "sensor")


def test_the_api_server_is_killed_and_comes_back(secured: Secured) -> None:
    namespace = secured.kube.namespace()
    secured.kube.stop_server()
    secured.kube.start_server()
    secured.kube.admin.create(workload(namespace, "after", IMAGE))
    secured.until("what was made afterwards", lambda: "after" in secured.deployments(namespace))
