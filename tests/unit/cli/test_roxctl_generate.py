"""``roxctl sensor generate``: the record, the init bundle, and manifests as they were asked for."""

from __future__ import annotations

import base64
import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from redoubt.cli.roxctl import generating
from redoubt.errors import RedoubtError
from support.roxctl import Run, runner
from support.standin import StandIn, answer, refusal

BUNDLES = "/v1/cluster-init/init-bundles"
META: dict[str, Any] = {
    "id": "11111111-1111-4111-8111-111111111111",
    "name": "ward-1",
    "expiresAt": "2100-01-01",
}
IMAGE = "registry.example/redoubt:1.0"


@pytest.fixture
def central(tmp_path: Path) -> Iterator[StandIn]:
    with StandIn(tmp_path) as web:
        web.routes["GET /v1/clusters"] = answer({"clusters": [{"id": "c-1", "name": "there"}]})
        web.routes["POST /v1/clusters"] = answer({"cluster": {"id": "c-2", "name": "ward 7"}})
        secrets = base64.b64encode(b"kind: Secret\n").decode()
        web.routes[f"POST {BUNDLES}"] = answer({"meta": META, "kubectlBundle": secrets})
        yield web


@pytest.fixture
def run(central: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    return runner(central)


def _wanted(**given: Any) -> generating.Wanted:
    return generating.Wanted(
        **{"name": "ward", "central": "central.example:443", "main_image_repository": IMAGE, **given}
    )


def _named(found: list[dict[str, Any]], kind: str, name: str) -> dict[str, Any]:
    (one,) = [each for each in found if (each["kind"], each["metadata"]["name"]) == (kind, name)]
    return one


def _environment(container: dict[str, Any]) -> dict[str, str]:
    return {each["name"]: each["value"] for each in container["env"] if "value" in each}


def test_a_folder_to_apply_is_made(run: Run, central: StandIn, tmp_path: Path) -> None:
    done = run(
        "sensor",
        "generate",
        "k8s",
        "--name",
        "ward 7",
        "--image",
        IMAGE,
        "--admission-controller-enforcement=false",
    )
    folder = tmp_path / "sensor-ward-7"
    assert sorted(each.name for each in folder.iterdir()) == [
        "namespace.yaml",
        "secrets.yaml",
        "secured-cluster.yaml",
    ]
    assert (folder / "secrets.yaml").read_text() == "kind: Secret\n"
    assert stat.S_IMODE((folder / "secrets.yaml").stat().st_mode) == 0o600
    assert done.stdout == "kubectl apply -f sensor-ward-7/\n"
    assert "private keys" in done.stderr
    found = [*yaml.safe_load_all((folder / "secured-cluster.yaml").read_text())]
    assert found == generating.manifests(_wanted(name="ward 7", central="central.stackrox:443"))
    (added,) = [json.loads(each) for each in central.bodies("POST", "/v1/clusters")]
    assert (added["name"], added["mainImage"], added["collectionMethod"]) == ("ward 7", IMAGE, "CORE_BPF")
    assert added["dynamicConfig"]["admissionControllerConfig"]["enabled"] is False
    (asked,) = [json.loads(each) for each in central.bodies("POST", BUNDLES)]
    assert asked["name"].startswith("ward-7-")


def test_a_cluster_that_is_there_is_not_added_again(run: Run, central: StandIn, tmp_path: Path) -> None:
    words = ("sensor", "generate", "k8s", "--name", "there", "--image", IMAGE)
    done = run(*words, code=2)
    assert "--continue-if-exists" in done.stderr
    assert not (tmp_path / "sensor-there").exists()
    run(*words, "--continue-if-exists")
    assert central.bodies("POST", "/v1/clusters") == []
    assert (tmp_path / "sensor-there" / "secrets.yaml").exists()


def test_nothing_is_asked_for_where_nothing_can_be_written_and_nothing_left_where_central_refuses(
    run: Run, central: StandIn, tmp_path: Path
) -> None:
    words = ("sensor", "generate", "k8s", "--name", "ward", "--image", IMAGE)
    (tmp_path / "sensor-ward").mkdir()
    run(*words, code=2)
    assert central.bodies("POST", "/v1/clusters") == []
    central.routes[f"POST {BUNDLES}"] = refusal(403, "no")
    run(*words, "--output-dir", "other", code=5)
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    "words",
    [
        ("--name", " ", "--image", IMAGE),
        ("--name", "ward", "--image", "not an image"),
        ("--name", "ward", "--image", IMAGE, "--central", "central.example"),
        ("--name", "ward", "--image", IMAGE, "--volume-claim", "much"),
        ("--name", "ward", "--image", IMAGE, "--collection-method", "KERNEL_MODULE"),
        ("--name", "ward"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_central_hears_of_it(
    run: Run, central: StandIn, words: tuple[str, ...]
) -> None:
    run("sensor", "generate", "k8s", *words, code=2)
    assert central.bodies("POST", "/v1/clusters") == []


def test_services_are_told_where_central_is_and_what_the_cluster_is_called() -> None:
    found = generating.manifests(
        _wanted(collector_image_repository="registry.example/other:2", image_pull_secret="pull")
    )
    sensor = _named(found, "Deployment", "sensor")["spec"]["template"]["spec"]
    said = _environment(sensor["containers"][0])
    assert (said["ROX_CENTRAL_ENDPOINT"], said["ROX_CLUSTER_NAME"]) == ("central.example:443", "ward")
    nodes = _named(found, "DaemonSet", "collector")["spec"]["template"]["spec"]
    assert [each["image"] for each in nodes["containers"]] == ["registry.example/other:2"] * 2
    assert sensor["containers"][0]["image"] == IMAGE
    accounts = [each for each in found if each["kind"] == "ServiceAccount"]
    assert len(accounts) == 3
    assert all(each["imagePullSecrets"] == [{"name": "pull"}] for each in accounts)


def test_collectors_watch_as_they_are_to() -> None:
    def pod(**given: Any) -> dict[str, Any]:
        made = _named(generating.manifests(_wanted(**given)), "DaemonSet", "collector")
        found: dict[str, Any] = made["spec"]["template"]["spec"]
        return found

    usual = pod(collection_method="default")
    assert _environment(usual["containers"][0])["ROX_COLLECTION_METHOD"] == "CORE_BPF"
    assert "hostNetwork" not in usual
    assert usual["tolerations"]
    without = pod(collection_method="AUTO", disable_tolerations=True)
    assert without["hostNetwork"]
    assert "NET_ADMIN" in without["containers"][0]["securityContext"]["capabilities"]["add"]
    assert "tolerations" not in without
    assert [each["name"] for each in pod(collection_method="none")["containers"]] == ["node"]


def test_what_waits_for_central_may_be_kept_on_a_volume() -> None:
    found = generating.manifests(_wanted(volume_claim="1Gi"))
    claim = _named(found, "PersistentVolumeClaim", "sensor")
    assert claim["spec"]["resources"]["requests"]["storage"] == "1Gi"
    volumes = _named(found, "Deployment", "sensor")["spec"]["template"]["spec"]["volumes"]
    assert {"name": "data", "persistentVolumeClaim": {"claimName": "sensor"}} in volumes
    assert {"name": "data", "emptyDir": {}} not in volumes


def test_odd_names_stay_names(tmp_path: Path) -> None:
    name = "ward: {x}\n- '#\"' é"
    (sensor,) = [
        each
        for each in yaml.safe_load_all(generating.text(_wanted(name=name)))
        if each["kind"] == "Deployment" and each["metadata"]["name"] == "sensor"
    ]
    said = _environment(sensor["spec"]["template"]["spec"]["containers"][0])
    assert said["ROX_CLUSTER_NAME"] == name


def test_a_damaged_template_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generating.yaml, "safe_load_all", lambda text: iter([None]))
    with pytest.raises(RedoubtError, match="install Redoubt again"):
        generating.manifests(_wanted())
