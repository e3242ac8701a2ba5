"""A secured cluster whose services have clocks that are an hour, two days and nine days ahead or behind of each other."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import pytest

from support.clocks import Clock, needs_clang
from support.kernel import needs_bpf
from support.kube import Cluster, Refused, kube
from support.postgres import chosen, reachable_folder
from support.secured import FORBIDDEN, Secured, running, workload
from support.storm import IMAGE, Shop, Storm, shop, storm

__all__ = ["kube"]
pytestmark = [needs_bpf, needs_clang]

HOUR, DAY = 3600, 86400
#: Since when certificates are valid: long enough for every clock here but one.
_OLD = 20 * DAY
#: A clock may be told of a second late; the machine is slow at times.
_NEAR = 20.0
SETTINGS = {
    "sensor behind": {"sensor": -9 * DAY, "admission": HOUR, "collector": 2 * DAY},
    "sensor ahead": {"central": HOUR, "sensor": 2 * DAY, "admission": -2 * DAY, "collector": -HOUR},
}
SERVICES = ("central", "sensor", "admission", "collector")


class Clocks(dict[str, Clock]):
    """Of the services, by name."""

    def put(self, **seconds: int) -> None:
        """These are wrong by as much; the others are right."""
        for name, clock in self.items():
            clock.put(seconds.get(name, 0))


@pytest.fixture(scope="module")
def clocks() -> Iterator[Clocks]:
    chosen()
    folder = reachable_folder()
    try:
        yield Clocks({name: Clock(folder, name) for name in SERVICES})
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory, kube: Cluster, clocks: Clocks) -> Iterator[Secured]:
    clocks.put(central=-_OLD)  # its CA is of then
    environments = {name: clock.environment for name, clock in clocks.items()}
    issued = datetime.now(UTC) - timedelta(seconds=_OLD)
    with running(tmp_path_factory.mktemp("secured"), kube, environments, issued) as cluster:
        clocks.put()
        cluster.central.ask("POST", "/v1/policies", FORBIDDEN)
        cluster.admission.start()
        cluster.until("the API server to refuse", lambda: refuses(cluster))
        yield cluster


@pytest.fixture(scope="module")
def busy(secured: Secured, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with shop(secured, tmp_path_factory.mktemp("shop")) as made:
        yield made


def refuses(secured: Secured, query: str = "dryRun=All") -> str:
    """Why a forbidden workload is not taken."""
    forbidden = workload("default", "forbidden", IMAGE, securityContext={"privileged": True})
    try:
        secured.kube.admin.create(forbidden, query=query)
    except Refused as refused:
        return refused.message
    return ""


def problems(secured: Secured) -> str:
    """What the cluster's health says."""
    cluster = secured.central.get("/v1/clusters")["clusters"][0]
    return str(cluster["healthStatus"])


def moment(text: str) -> float:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def near(made: Storm, words: set[str], ahead: float) -> Callable[[], bool]:
    """Whether Central has programs with moments of when they were started, by a clock that is ahead by so many seconds."""
    off = time.time() - time.monotonic() + ahead

    def look() -> bool:
        found = {each["args"]: moment(each["time"]) for each in made.shop.programs() if each["args"] in words}
        wrong = {word: at - made.started[word] - off for word, at in found.items()}
        assert all(abs(each) < _NEAR for each in wrong.values()), wrong
        return set(found) == words

    return look


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=SETTINGS)
def test_moments_are_right_at_central_and_nothing_is_lost(
    secured: Secured, busy: Shop, clocks: Clocks, setting: dict[str, int]
) -> None:
    try:
        clocks.put(**setting)
        off = setting.get("central", 0)
        with storm(busy, f"off-{setting['sensor']}") as made:
            secured.until("word of the node's clock", lambda: "node-1: its clock is" in problems(secured))
            secured.until("word of admission's clock", lambda: "of the Sensor's" in problems(secured))
            secured.until("word of the Sensor's", lambda: "the Sensor's clock is" in problems(secured))
            assert "UNHEALTHY" not in problems(secured)
            began = time.monotonic()
            secured.until("programs", lambda: len(made.since(began)) > 20)
        words = set(made.since(began))
        secured.until("the programs at Central", near(made, words, off))
        query = quote(f"Namespace:{made.namespace}+Violation State:ATTEMPTED")
        secured.until(
            "all refusals at Central",
            lambda: (
                sum(
                    int(each["enforcementCount"])
                    for each in secured.central.get(f"/v1/alerts?query={query}")["alerts"]
                )
                == made.refused
            ),
        )
        [alert] = secured.central.get(f"/v1/alerts?query={query}")["alerts"]
        assert abs(moment(alert["time"]) - time.time() - off) < _NEAR
        assert all(refused for _, _, refused in made.tried)
        if setting["sensor"] < 0:
            secured.up.kill()
            secured.up.start()  # what is old is forgotten now
            secured.until("the programs to be there still", near(made, words, off))
    finally:
        clocks.put()
    refuses(secured, "")  # admission controllers say what their clock shows when they have something to tell
    secured.until("all clocks to be right again", lambda: "clock is" not in problems(secured))


def test_settings_of_a_sensor_whose_clock_was_ahead_do_not_count_for_ever(
    secured: Secured, clocks: Clocks, kube: Cluster
) -> None:
    policy = next(
        each for each in secured.central.get("/v1/policies")["policies"] if each["name"] == FORBIDDEN["name"]
    )["id"]
    try:
        clocks.put(sensor=2 * DAY)
        kube.namespace()  # settings have all namespaces' labels
        ahead = int((time.time() + DAY) * 1000)
        secured.until("settings of the day after tomorrow", lambda: revision(secured) > ahead)
        secured.sensor.kill()
        clocks.put()
        for name in ("spool", "state"):  # a Sensor on another node
            shutil.rmtree(secured.folder / "sensor" / name)
        config = {"apiVersion": "v1", "kind": "ConfigMap"}
        kube.admin.delete(config | {"metadata": {"name": "admission-control", "namespace": "stackrox"}})
        secured.sensor.start()
        secured.central.ask("PATCH", f"/v1/policies/{policy}", {"disabled": True})
        secured.until("nothing to be refused any more", lambda: not refuses(secured))
    finally:
        clocks.put()
        secured.central.ask("PATCH", f"/v1/policies/{policy}", {"disabled": False})
    secured.until("the API server to refuse again", lambda: refuses(secured))


def revision(secured: Secured) -> int:
    """Of the settings that the admission controller has on its disk."""
    kept = Path(secured.folder / "admission" / "settings.json").read_text()
    return int(kept.partition('"revision":')[2].partition(",")[0])


def test_a_clock_that_makes_certificates_worthless_is_named_and_put_right_without_a_restart(
    secured: Secured, clocks: Clocks
) -> None:
    words = "is not yet valid by the clock here, which shows"
    try:
        clocks.put(sensor=-2 * _OLD)
        secured.up.kill()  # connections that there are stay
        secured.up.start()
        secured.until("the Sensor to name the clock", lambda: words in secured.sensor.said())
    finally:
        clocks.put()
    namespace = secured.kube.namespace()
    secured.kube.admin.create(workload(namespace, "after", IMAGE))
    secured.until("what was made afterwards", lambda: secured.deployments(namespace))
