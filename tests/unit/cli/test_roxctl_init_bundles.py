"""``roxctl central init-bundles``: made, listed, revoked."""

from __future__ import annotations

import base64
import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.roxctl import Run, runner
from support.standin import StandIn, answer, refusal

PATH = "/v1/cluster-init/init-bundles"
META: dict[str, Any] = {
    "id": "11111111-1111-4111-8111-111111111111",
    "name": "spring",
    "createdAt": "2099-01-01T00:00:00Z",
    "expiresAt": "2100-01-01T00:00:00Z",
    "createdBy": {"id": "user:admin"},
    "impactedClusters": [],
}
USED = META | {"impactedClusters": [{"id": "c-1", "name": "west"}]}


@pytest.fixture
def central(tmp_path: Path) -> Iterator[StandIn]:
    with StandIn(tmp_path) as web:
        web.routes[f"POST {PATH}"] = answer(
            {
                "meta": META,
                "helmValuesBundle": base64.b64encode(b"helm: values\n").decode(),
                "kubectlBundle": base64.b64encode(b"kind: Secret\n").decode(),
            }
        )
        web.routes[f"GET {PATH}"] = answer({"items": [USED]})
        yield web


@pytest.fixture
def run(central: StandIn) -> Run:
    return runner(central)


def test_a_bundle_is_written_where_only_its_owner_reads_it(
    run: Run, central: StandIn, tmp_path: Path
) -> None:
    helm, secrets = tmp_path / "values.yaml", tmp_path / "secrets.yaml"
    done = run("central", "init-bundles", "generate", "spring", "--output", helm, "--output-secrets", secrets)
    assert (helm.read_text(), secrets.read_text()) == ("helm: values\n", "kind: Secret\n")
    assert stat.S_IMODE(helm.stat().st_mode) == 0o600
    assert "private keys" in done.stderr
    assert json.loads(central.bodies("POST", PATH)[0]) == {"name": "spring"}
    piped = run("central", "init-bundles", "generate", "spring", "--output-secrets", "-")
    assert piped.stdout == "kind: Secret\n"


def test_nothing_is_asked_for_that_cannot_be_written(run: Run, central: StandIn, tmp_path: Path) -> None:
    there = tmp_path / "there.yaml"
    there.write_text("mine")
    run("central", "init-bundles", "generate", "spring", "--output", there, code=2)
    run("central", "init-bundles", "generate", "spring", "--output", tmp_path / "no" / "x", code=5)
    run("central", "init-bundles", "generate", "spring", code=2)
    run("central", "init-bundles", "generate", "spring", "--output", "-", "--output-secrets", "-", code=2)
    assert there.read_text() == "mine"
    assert central.bodies("POST", PATH) == []


def test_a_refusal_leaves_no_file(run: Run, central: StandIn, tmp_path: Path) -> None:
    central.routes[f"POST {PATH}"] = refusal(409, "there is an init bundle 'spring' already", 6)
    done = run("central", "init-bundles", "generate", "spring", "--output", tmp_path / "x.yaml", code=2)
    assert "already" in done.stderr
    assert not (tmp_path / "x.yaml").exists()


def test_bundles_are_listed(run: Run) -> None:
    assert run("central", "init-bundles", "list").stdout.splitlines()[1].split() == [
        "spring",
        "2099-01-01T00:00",
        "2100-01-01T00:00",
        "user:admin",
        "1",
        META["id"],
    ]


def test_clusters_are_asked_about_before_they_are_disconnected(run: Run, central: StandIn) -> None:
    path = f"{PATH}/revoke"
    central.routes[f"PATCH {path}"] = answer(
        {"initBundleRevocationErrors": [], "initBundleRevokedIds": [META["id"]]}
    )
    refused = run("central", "init-bundles", "revoke", "spring", code=2, stdin="n\n")
    assert "west" in refused.stderr
    run("central", "init-bundles", "revoke", "spring", code=2, stdin="")
    run("central", "init-bundles", "revoke", "autumn", code=2)
    assert central.bodies("PATCH", path) == []
    assert run("central", "init-bundles", "revoke", "spring", stdin="y\n").stdout == "Revoked spring\n"
    run("central", "init-bundles", "revoke", META["id"], "--force")
    sent = [json.loads(body) for body in central.bodies("PATCH", path)]
    assert sent == [{"ids": [META["id"]], "confirmImpactedClustersIds": ["c-1"]}] * 2
    central.routes[f"PATCH {path}"] = answer(
        {"initBundleRevocationErrors": [{"id": META["id"], "error": "a reason"}], "initBundleRevokedIds": []}
    )
    assert "a reason" in run("central", "init-bundles", "revoke", "spring", "-f", code=3).stderr


def test_the_ca_is_fetched(run: Run, central: StandIn, tmp_path: Path) -> None:
    central.routes["GET /v1/cluster-init/ca-config"] = answer(
        {"helmValuesBundle": base64.b64encode(b"ca: {}\n").decode()}
    )
    assert run("central", "init-bundles", "fetch-ca").stdout == "ca: {}\n"
    run("central", "init-bundles", "fetch-ca", "--output", tmp_path / "ca.yaml")
    assert (tmp_path / "ca.yaml").read_text() == "ca: {}\n"
    central.routes["GET /v1/cluster-init/ca-config"] = answer({"helmValuesBundle": "not base64!"})
    run("central", "init-bundles", "fetch-ca", code=6)
