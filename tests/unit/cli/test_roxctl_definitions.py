"""``roxctl definitions``: what is asked of Central, and how its answers are shown."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.roxctl import Run, runner
from support.standin import StandIn, answer, refusal

NEW, OLD = "sha256:" + "ab" * 32, "sha256:" + "cd" * 32
ACTIVE: dict[str, Any] = {
    "digest": NEW,
    "channel": "main",
    "version": 20990102000000,
    "created": "2099-01-02T00:00:00Z",
    "unsigned": False,
    "previous": OLD,
    "records": 12345,
    "sources": [
        {"name": "debian", "newest": "2099-01-01T00:00:00Z", "records": 12000, "state": "fresh"},
        {"name": "epss", "records": 345, "state": "stale", "scores_only": True},
    ],
}
SHELF = [
    {
        "digest": NEW,
        "channel": "main",
        "version": 2,
        "created": "2099-01-02T00:00:00Z",
        "imported": "2099-01-02T03:04:05Z",
        "active": True,
        "unsigned": False,
        "records": 1,
    },
    {
        "digest": OLD,
        "channel": "stackrox",
        "version": 1,
        "created": "2099-01-01T00:00:00Z",
        "imported": "2099-01-01T03:04:05Z",
        "active": False,
        "unsigned": True,
        "records": 1,
    },
]
EVENTS = [
    {
        "time": "2099-01-02T03:04:05.123Z",
        "action": "upload",
        "digest": NEW,
        "channel": "main",
        "version": 2,
        "previous": OLD,
        "unsigned": False,
        "by": "token pipeline",
    },
    {
        "time": "2099-01-01T03:04:05Z",
        "action": "start",
        "digest": OLD,
        "channel": "starter",
        "version": 1,
        "previous": "",
        "unsigned": False,
        "by": "\x1bCentral",
    },
]


@pytest.fixture
def central(tmp_path: Path) -> Iterator[StandIn]:
    with StandIn(tmp_path) as web:
        web.routes["GET /v1/definitions"] = answer({"active": ACTIVE, "shelf": SHELF, "uploading": True})
        web.routes["GET /v1/definitions/history"] = answer({"events": EVENTS})
        yield web


@pytest.fixture
def run(central: StandIn) -> Run:
    inner = runner(central)
    return lambda *words, **more: inner("definitions", *words, **more)


def test_status(run: Run) -> None:
    lines = run("status").stdout.splitlines()
    assert lines[:3] == [
        f"Digest    {NEW}",
        "Channel   main, version 20990102000000, built 2099-01-02T00:00:00Z",
        "Signed    yes",
    ]
    assert lines[3].startswith("Age       definitions are ")
    assert "debian  2099-01-01   12,000  fresh" in lines
    assert "An upload is under way" in lines
    assert f"*       {'ab' * 6}  main      2        2099-01-02T00:00  2099-01-02T03:04  yes" in lines
    assert lines[-1].rstrip().endswith("no")


def test_status_without_definitions_says_what_to_do(run: Run, central: StandIn) -> None:
    central.routes["GET /v1/definitions"] = answer({"active": None, "shelf": [], "uploading": False})
    assert "roxctl scanner upload-db" in run("status").stdout


def test_a_replica_that_is_behind_is_said(run: Run, central: StandIn) -> None:
    said = {"active": ACTIVE, "shelf": SHELF, "uploading": False, "problem": "no \x1bspace"}
    central.routes["GET /v1/definitions"] = answer(said)
    (line,) = [line for line in run("status").stdout.splitlines() if "does not have them yet" in line]
    assert "space" in line
    assert "\x1b" not in line


def test_json_is_centrals_own_answer(run: Run) -> None:
    assert json.loads(run("status", "-o", "json").stdout)["shelf"] == SHELF
    assert json.loads(run("history", "-o", "json").stdout) == {"events": EVENTS}


def test_history(run: Run) -> None:
    lines = run("history").stdout.splitlines()
    assert lines[1].split() == [
        "2099-01-02T03:04:05",
        "upload",
        "ab" * 6,
        "main",
        "2",
        "yes",
        "token",
        "pipeline",
    ]
    assert "\x1b" not in lines[2]


def test_rollback_is_asked_for_once(run: Run, central: StandIn) -> None:
    central.routes["POST /v1/definitions/rollback"] = answer(
        ACTIVE | {"digest": OLD, "unsigned": True, "previous": NEW}
    )
    done = run("rollback")
    assert "Active now: definitions sha256:cdcdcdcdcdcd" in done.stdout
    assert "nobody vouches" in done.stderr
    run("rollback", "cdcd")
    assert [json.loads(body) for body in central.bodies("POST", "/v1/definitions/rollback")] == [
        {"digest": ""},
        {"digest": "cdcd"},
    ]
    central.routes["POST /v1/definitions/rollback"] = refusal(400, "nothing was active before", 3)
    assert "nothing was active before" in run("rollback", code=4).stderr
    central.routes["POST /v1/definitions/rollback"] = refusal(503, "away")
    before = len(central.asked)
    run("rollback", code=6)
    assert len(central.asked) == before + 1


def test_diff_of_what_was_before(run: Run, central: StandIn) -> None:
    central.routes["GET /v1/definitions/diff"] = answer(
        {
            "old": OLD,
            "new": NEW,
            "advisories": {"appeared": 10, "changed": 2, "vanished": 1},
            "cves": {"appeared": 3, "changed": 0, "vanished": 0},
            "scores": {"appeared": 0, "changed": 250000, "vanished": 0},
            "packages": 1234,
            "groups": [{"source": "debian", "severity": "HIGH", "appeared": 10, "changed": 2, "vanished": 1}],
        }
    )
    lines = run("diff").stdout.splitlines()
    assert central.asked[-1].path == f"/v1/definitions/diff?old={OLD.replace(':', '%3A')}"
    assert lines[4].split() == ["debian", "HIGH", "10", "2", "1"]
    assert lines[-1] == "1,234 packages have other entries"
    run("diff", "cd", "ab")
    assert central.asked[-1].path == "/v1/definitions/diff?old=cd&new=ab"
    central.routes["GET /v1/definitions/history"] = answer({"events": EVENTS[1:]})
    assert "nothing was active before" in run("diff", code=2).stderr


def test_trust(run: Run, central: StandIn, tmp_path: Path) -> None:
    root = {"channel": "main", "fingerprint": "0f" * 32, "version": 1, "expires": "2099-01-01T00:00:00Z"}
    central.routes |= {
        "GET /v1/definitions/trust": answer(
            {"roots": [root, {"channel": "stackrox", "fingerprint": "", "unsigned": True}]}
        ),
        "POST /v1/definitions/trust": answer(root),
        "DELETE /v1/definitions/trust/main": answer({"roots": [root]}),
        "POST /v1/definitions/unsigned": answer({}),
    }
    assert run("trust", "list").stdout.splitlines()[1:] == [
        f"main      {'0f' * 6}  1        2099-01-01  added",
        "stackrox  none                               unsigned bundles are accepted",
    ]
    (tmp_path / "root.json").write_text('{"signed": {}}')
    assert (
        f"Trusted for channel main: root {'0f' * 6}"
        in run("trust", "add", tmp_path / "root.json", "--channel", "main").stdout
    )
    assert json.loads(central.asked[-1].body) == {"root": '{"signed": {}}', "channel": "main"}
    assert "No longer trusted" in run("trust", "remove", "main", "0f0f").stdout
    assert central.asked[-1].path == "/v1/definitions/trust/main?fingerprint=0f0f"
    assert "Accepted from now on" in run("trust", "allow-unsigned", "stackrox").stdout
    assert "No longer accepted" in run("trust", "disallow-unsigned", "stackrox").stdout
    assert [json.loads(body) for body in central.bodies("POST", "/v1/definitions/unsigned")] == [
        {"channel": "stackrox", "allowed": True},
        {"channel": "stackrox", "allowed": False},
    ]


def test_a_root_that_is_none_is_not_sent(run: Run, central: StandIn, tmp_path: Path) -> None:
    (tmp_path / "root.json").write_bytes(b"\xff\xff")
    run("trust", "add", tmp_path / "root.json", "--channel", "main", code=3)
    run("trust", "add", tmp_path / "none", "--channel", "main", code=3)
    (tmp_path / "root.json").write_bytes(b" " * (2 << 20))
    run("trust", "add", tmp_path / "root.json", "--channel", "main", code=3)
    assert central.asked == []
