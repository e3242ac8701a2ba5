"""``roxctl netpol``: manifests in folders, without a cluster and without Central."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from redoubt.cli.roxctl import roxctl
from support.inprocess import Outcome, invoke

SHOP = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: shop, namespace: web}
spec:
  selector: {matchLabels: {app: shop}}
  template:
    metadata: {labels: {app: shop}}
    spec: {containers: [{name: main, image: a, ports: [{name: http, containerPort: 8080}]}]}
"""
BASE = SHOP.replace("shop", "base").replace("web", "db")
POLICY = """
kind: Namespace
apiVersion: v1
metadata: {name: db, labels: {tier: data}}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: shop, namespace: web}
spec:
  podSelector: {}
  policyTypes: [Ingress, Egress]
  ingress:
  - {from: [{namespaceSelector: {matchLabels: {tier: data}}}], ports: [{port: http}, {protocol: UDP, port: 53}]}
  - {from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}}]}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "manifests"
    (made / "inner").mkdir(parents=True)
    (made / "shop.yaml").write_text(SHOP)
    (made / "inner" / "base.yml").write_text(f"{BASE}---{POLICY}")
    return made


def run(*words: str | Path, code: int = 0) -> Outcome:
    return invoke(roxctl, "netpol", "connectivity", *words, code=code)


def test_all_connections_are_listed(folder: Path) -> None:
    assert run("map", folder).stdout.splitlines() == [
        "0.0.0.0-255.255.255.255 => db/base[Deployment] : All Connections",
        "10.0.0.0-10.0.255.255 => web/shop[Deployment] : All Connections",
        "10.2.0.0-10.255.255.255 => web/shop[Deployment] : All Connections",
        "db/base[Deployment] => 0.0.0.0-255.255.255.255 : All Connections",
        "db/base[Deployment] => web/shop[Deployment] : TCP 8080,UDP 53",
    ]
    told = json.loads(run("map", folder, "-o", "json").stdout)
    assert told[-1] == {
        "src": "db/base[Deployment]",
        "dst": "web/shop[Deployment]",
        "conn": "TCP 8080,UDP 53",
    }
    rows = list(csv.reader(io.StringIO(run("map", folder, "-o", "csv").stdout)))
    assert rows[0] == ["src", "dst", "conn"]
    assert len(rows) == 6
    assert run("map", folder, "-o", "md").stdout.splitlines()[1] == "| --- | --- | --- |"
    assert (
        '"db/base[Deployment]" -> "web/shop[Deployment]" [label="TCP 8080,UDP 53"]'
        in run("map", folder, "-o", "dot").stdout
    )
    assert len(run("map", folder, "--focus-workload", "web/shop").stdout.splitlines()) == 3
    run("map", folder, "--focus-workload", "none", code=2)


def test_what_is_otherwise_is_listed(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "all.yaml").write_text(
        f"{SHOP}---{BASE}---{BASE.replace('base', 'queue')}---{POLICY.replace('port: 53', 'port: 54').replace('10.1', '10.2')}"
    )
    lines = run("diff", "--dir1", folder, "--dir2", other).stdout.splitlines()
    assert lines[0] == "Connectivity diff:"
    assert (
        "diff-type: changed, source: db/base[Deployment], destination: web/shop[Deployment],"
        " dir1: TCP 8080,UDP 53, dir2: TCP 8080,UDP 54"
    ) in lines
    assert (
        "diff-type: removed, source: 10.2.0.0-10.2.255.255, destination: web/shop[Deployment],"
        " dir1: All Connections, dir2: No Connections"
    ) in lines
    assert (
        "diff-type: added, source: db/queue[Deployment], destination: web/shop[Deployment], dir1: No Connections,"
        " dir2: TCP 8080,UDP 54, workloads-diff-info: workload db/queue[Deployment] added"
    ) in lines
    rows = list(csv.reader(io.StringIO(run("diff", "--dir1", folder, "--dir2", other, "-o", "csv").stdout)))
    assert rows[0][0] == "diff-type"
    assert len(rows) == len(lines)
    assert "color=red" in run("diff", "--dir1", folder, "--dir2", other, "-o", "dot").stdout
    assert run("diff", "--dir1", folder, "--dir2", folder).stdout == ""


def test_what_cannot_be_read_is_said(folder: Path, tmp_path: Path) -> None:
    (folder / "bad.yaml").write_text(POLICY.replace("ingress:", "ingres:"))
    (folder / "worse.yaml").write_bytes(b"\xff\xfe")
    found = run("map", folder)
    assert "bad.yaml" in found.stderr
    assert "no field" in found.stderr
    assert "worse.yaml" in found.stderr
    assert "web/shop" in found.stdout
    assert "could not be read" in run("map", folder, "--strict", code=3).stderr
    assert "bad.yaml" in run("map", folder, "--fail", code=3).stderr
    run("map", tmp_path / "none", code=3)
    (tmp_path / "empty").mkdir()
    assert "no workload" in run("map", tmp_path / "empty", code=3).stderr


def test_it_is_written_into_a_file(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "out.txt"
    assert run("map", folder, "-f", file).stdout == ""
    assert "web/shop" in file.read_text()
    run("map", folder, "-f", file, code=2)
    run("map", folder, "-f", file, "--remove")


def test_names_do_no_harm_to_a_terminal(folder: Path) -> None:
    (folder / "shop.yaml").write_text(SHOP.replace("name: shop", 'name: "\\e[31mshop"'))
    assert "\x1b" not in run("map", folder).stdout
