"""``roxctl central crs``: made, listed, revoked."""

from __future__ import annotations

import base64
import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from redoubt.cli.roxctl.registering import seconds
from redoubt.errors import UsageError
from support.roxctl import Run, runner
from support.standin import StandIn, answer, refusal

PATH = "/v1/cluster-init/crs"
META: dict[str, Any] = {
    "id": "11111111-1111-4111-8111-111111111111",
    "name": "spring",
    "createdAt": "2099-01-01T00:00:00Z",
    "expiresAt": "2099-01-02T00:00:00Z",
    "createdBy": {"id": "user:admin"},
    "maxRegistrations": "3",
    "registrationsInitiated": ["west"],
    "registrationsCompleted": ["east"],
}


@pytest.fixture
def central(tmp_path: Path) -> Iterator[StandIn]:
    with StandIn(tmp_path) as web:
        made = answer({"meta": META, "crs": base64.b64encode(b"kind: Secret\n").decode()})
        web.routes[f"POST {PATH}"] = web.routes[f"POST {PATH}-extended"] = made
        web.routes[f"GET {PATH}"] = answer({"items": [META]})
        web.routes[f"PATCH {PATH}/revoke"] = answer({"crsRevocationErrors": [], "revokedIds": [META["id"]]})
        yield web


@pytest.fixture
def run(central: StandIn) -> Run:
    return runner(central)


def test_a_secret_is_written_where_only_its_owner_reads_it(
    run: Run, central: StandIn, tmp_path: Path
) -> None:
    file = tmp_path / "crs.yaml"
    done = run("central", "crs", "generate", "spring", "-o", file)
    assert file.read_text() == "kind: Secret\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "private key" in done.stderr
    assert json.loads(central.bodies("POST", PATH)[0]) == {"name": "spring"}
    assert run("central", "crs", "generate", "spring", "--output", "-").stdout == "kind: Secret\n"


@pytest.mark.parametrize(
    ("flags", "sent"),
    [
        (["--valid-for", "10m"], {"validFor": "600.000s"}),
        (["--valid-for", "1d"], {"validFor": "86400.000s"}),
        (["--valid-until", "2099-01-02T03:04:05Z"], {"validUntil": "2099-01-02T03:04:05+00:00"}),
        (["--max-clusters", "1"], {"maxRegistrations": "1"}),
    ],
)
def test_what_is_said_is_asked_for(
    run: Run, central: StandIn, flags: list[str], sent: dict[str, str]
) -> None:
    run("central", "crs", "generate", "spring", "-o", "-", *flags)
    assert json.loads(central.bodies("POST", f"{PATH}-extended")[0]) == {"name": "spring", **sent}


def test_what_cannot_be_meant_is_not_asked_for(run: Run, central: StandIn, tmp_path: Path) -> None:
    there = tmp_path / "there.yaml"
    there.write_text("mine")
    run("central", "crs", "generate", "spring", code=2)
    run("central", "crs", "generate", "spring", "-o", there, code=2)
    run("central", "crs", "generate", "spring", "-o", "-", "--valid-for", "soon", code=2)
    run("central", "crs", "generate", "spring", "-o", "-", "--valid-until", "2099-01-02", code=2)
    run("central", "crs", "generate", "spring", "-o", "-", "--max-clusters", "101", code=2)
    both = ["--valid-for", "1h", "--valid-until", "2099-01-02T03:04:05Z"]
    run("central", "crs", "generate", "spring", "-o", "-", *both, code=2)
    assert there.read_text() == "mine"
    assert central.bodies("POST", PATH) == []
    assert central.bodies("POST", f"{PATH}-extended") == []


def test_a_name_that_is_taken_and_a_central_without_a_ca_have_codes_of_their_own(
    run: Run, central: StandIn, tmp_path: Path
) -> None:
    for status, code, exit_code in ((409, 6, 2), (400, 9, 5), (400, 3, 2), (503, 14, 6)):
        central.routes[f"POST {PATH}"] = refusal(status, "it is so", code)
        run("central", "crs", "generate", "spring", "-o", tmp_path / "x.yaml", code=exit_code)
        assert not (tmp_path / "x.yaml").exists()


def test_secrets_are_listed_and_revoked_by_name(run: Run, central: StandIn) -> None:
    shown = run("central", "crs", "list").stdout.splitlines()[1].split()
    assert shown == ["spring", "2099-01-01T00:00", "2099-01-02T00:00", "user:admin", "2/3", META["id"]]
    assert run("central", "crs", "revoke", "spring").stdout == "Revoked spring\n"
    assert json.loads(central.bodies("PATCH", f"{PATH}/revoke")[0]) == {"ids": [META["id"]]}
    run("central", "crs", "revoke", "autumn", code=2)
    failed = {"crsRevocationErrors": [{"id": META["id"], "error": "gone"}], "revokedIds": []}
    central.routes[f"PATCH {PATH}/revoke"] = answer(failed)
    assert "gone" in run("central", "crs", "revoke", META["id"], code=3).stderr


def test_lengths_of_time() -> None:
    assert seconds("1h30m") == 5400
    assert seconds("1.5h") == 5400
    for odd in ("", "10", "m", "1w", "1h ", "-1h", "1h-30m"):
        with pytest.raises(UsageError):
            seconds(odd)
