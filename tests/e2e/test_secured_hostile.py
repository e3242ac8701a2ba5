"""Objects and processes that are made to hurt: over a real API server, a real kernel and all services, up to Central and roxctl."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.kernel import needs_bpf
from support.kube import Cluster, kube
from support.secured import NAME, Process, Secured, refusal, refusing, workload
from support.storm import IMAGE, Shop, shop

__all__ = ["kube"]
pytestmark = needs_bpf

#: Turns the text around, and a screen black.
ODD = "gnp\u202eexe \x1b[2J\x1b]0;mine\x07 \U0001f9ea e\u0301 \u0000 \ufeff"
#: What no terminal is to be shown: all controls but the ends of lines and tabs, and what turns text around.
_HARMFUL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
#: Bytes that a service may have in memory.
_MOST = 600 << 20


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory, kube: Cluster) -> Iterator[Secured]:
    with refusing(tmp_path_factory.mktemp("secured"), kube) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def busy(secured: Secured, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with shop(secured, tmp_path_factory.mktemp("shop")) as made:
        yield made


def memory(process: Process) -> int:
    """What it has in memory, at most so far."""
    assert process.process is not None
    status = Path(f"/proc/{process.process.pid}/status").read_text()
    return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) << 10


def are_well(secured: Secured) -> None:
    """No service ended, grew without bound, or wrote what a stranger wrote into a log as it was."""
    for each in (secured.sensor, secured.admission, secured.collector):
        assert each.process is not None
        assert each.process.poll() is None, each.said()[-3000:]
        assert memory(each) < _MOST, each.name
        assert not _HARMFUL.search(each.said().replace("\n", "")), each.name
    assert not _HARMFUL.search(secured.up.output().replace("\n", ""))
    said = secured.collector.said()
    assert len(max(said.splitlines(), key=len)) < 2000


def hostile(namespace: str) -> Iterator[dict[str, Any]]:
    """Workloads without pods. The API server takes 256 KiB of annotations, and 1.5 MB of what it makes of an object."""
    given = workload(namespace, "annotated", IMAGE)
    given["metadata"]["annotations"] = {"example.com/odd": ODD, "example.com/long": ODD * 6000}
    yield given
    yield workload(namespace, "variables", IMAGE, env=[{"name": "A", "value": ODD * 20_000}])
    yield workload(namespace, "odd", f"registry.invalid/{ODD.strip()}:1", command=[ODD, "\n" * 1000])
    given = workload(namespace, "many", IMAGE)
    given["spec"]["template"]["spec"]["containers"] = [
        {"name": f"c{at}", "image": "a.invalid/b"} for at in range(10_000)
    ]
    yield given


def test_hostile_objects_are_at_central_as_far_as_they_fit(secured: Secured, busy: Shop) -> None:
    namespace, admin = secured.kube.namespace(), secured.kube.admin
    for given in hostile(namespace):
        given["spec"]["replicas"] = 0
        admin.create(given)
        forbidden = workload(namespace, "forbidden", IMAGE, securityContext={"privileged": True})
        assert refusal(secured, forbidden), f"beside {given['metadata']['name']}"
    large = {"a": "x" * 1_000_000}
    for kind in ("ConfigMap", "Secret"):
        meta = {"name": "large", "namespace": namespace}
        admin.create(
            {
                "apiVersion": "v1",
                "kind": kind,
                "metadata": meta,
                "stringData" if kind == "Secret" else "data": large,
            }
        )
    admin.create(workload(namespace, "after", IMAGE))
    names = {"annotated", "variables", "odd", "many", "after"}
    secured.until("all of them", lambda: set(secured.deployments(namespace)) == names)
    found = {
        name: secured.central.get(f"/v1/deployments/{each['id']}")
        for name, each in secured.deployments(namespace).items()
    }
    assert len(found["many"]["containers"]) == 2000
    annotations = found["annotated"]["annotations"]
    assert annotations["example.com/odd"] == ODD
    assert len(annotations["example.com/long"]) <= 16 << 10
    assert found["odd"]["containers"][0]["config"]["command"][1] == "\n" * 1000
    health = secured.central.get("/v1/clusters")["clusters"][0]["healthStatus"]
    assert health["dropped"]["objects cut"] >= 1
    assert health["spoilt"] == 0
    are_well(secured)


def test_hostile_processes_are_at_central_cut_and_apart(secured: Secured, busy: Shop) -> None:
    folder = busy.program.parent
    long = "y" * ((128 << 10) - 2)  # of one argument the kernel takes one byte more
    odd = folder / "a\nb\x1b[2J\u202ec"
    bad = bytes(folder) + b"/\xff\xfe\n"
    for path in (odd, bad):
        shutil.copy("/bin/true", path)
    busy.container.run(str(busy.program), "1" + long)
    busy.container.run(str(busy.program), "2" + long)
    busy.container.run(str(busy.program), *("z" * 100_000 for _ in range(15)))
    busy.container.run(str(odd), "\x1b]0;mine\x07\n", "\u202e")
    busy.container.run(bad, b"\x80\xff", b"")
    busy.container.run(str(busy.program), "last")

    def rows() -> list[dict[str, Any]]:
        told = secured.central.get(f"/v1/processes/deployment/{busy.deployment}")["processes"]
        signals = [each["signal"] for each in told if each["signal"]["execFilePath"].startswith(str(folder))]
        return signals if len(signals) >= 6 else []

    signals = secured.until("all of them", rows)
    args = sorted(each["args"] for each in signals if each["execFilePath"] == str(busy.program))
    assert [(each[:4], len(each) <= 8192) for each in args] == [
        ("1yyy", True),
        ("2yyy", True),
        ("last", True),
        ("zzzz", True),
    ]
    others = {
        each["execFilePath"]: each["args"] for each in signals if each["execFilePath"] != str(busy.program)
    }
    assert others == {
        str(odd): "\x1b]0;mine\x07\n \u202e",
        str(folder) + "/\\xff\\xfe\n": "\\x80\\xff ",
    }
    active = secured.until(
        "the alert", lambda: secured.alerts(busy.namespace, "Violation State:ACTIVE+Lifecycle Stage:RUNTIME")
    )
    assert active == ["nmap Execution"]
    query = f"/v1/alerts?query=Namespace:{busy.namespace}%2BLifecycle%20Stage:RUNTIME"
    [alert] = secured.central.get(query)["alerts"]
    whole = secured.central.get(f"/v1/alerts/{alert['id']}")
    assert all(len(each["signal"]["args"]) <= 4096 for each in whole["processViolation"]["processes"])
    are_well(secured)


def test_roxctl_shows_nothing_of_it_that_a_terminal_obeys(secured: Secured, tmp_path: Path) -> None:
    given = workload(
        "default", f"odd {ODD}", f"registry.invalid/{ODD}:latest", securityContext={"privileged": True}
    )
    given["spec"]["template"]["spec"]["containers"][0]["name"] = f"main {ODD}"
    given["metadata"]["annotations"] = {ODD: ODD}
    path = tmp_path / "odd.json"
    path.write_text(json.dumps(given).replace("\\ud83e\\uddea", ""))  # YAML has no surrogates
    for form in ("table", "json"):
        done = secured.up.roxctl(
            "deployment",
            "check",
            "-f",
            str(path),
            "--cluster",
            NAME,
            "-o",
            form,
            "--ca",
            str(secured.up.config / "ca.pem"),
        )
        assert "Privileged Container" in done.stdout, (done.stdout, done.stderr)
        assert not _HARMFUL.search(done.stdout), form
        assert not _HARMFUL.search(done.stderr), form
