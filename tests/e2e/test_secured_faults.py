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

import pytest

from support.kernel import needs_bpf
from support.kube import Cluster, kube
from support.secured import Secured, refusal, refusing, workload
from support.storm import (
    IMAGE,
    Shop,
    Storm,
    attempts,
    check,
    enforced,
    goes_on,
    refused_since,
    shop,
    storm,
    told,
    warm,
)

__all__ = ["kube"]

SERVICES = ("central", "sensor", "admission", "collector")
ORDERS = list(itertools.permutations(SERVICES))
ALL = os.environ.get("REDOUBT_FAULTS") == "all"
#: What a run has: each service is killed first once, and the rest is another every day.
TOGETHER = ORDERS if ALL else [tuple(each) for each in zip(SERVICES)]
IN_TURN = ORDERS if ALL else [()]


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory, kube: Cluster) -> Iterator[Secured]:
    with refusing(tmp_path_factory.mktemp("secured"), kube) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def busy(secured: Secured, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """With a Collector, and a container that it watches."""
    with shop(secured, tmp_path_factory.mktemp("shop")) as made:
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
