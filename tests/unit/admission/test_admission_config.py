"""What an admission controller is told at start."""

from __future__ import annotations

from pathlib import Path

import pytest

from redoubt.admission import config
from redoubt.admission.cluster import Cluster
from redoubt.errors import UsageError


def test_defaults_and_where_they_may_be_overridden(tmp_path: Path) -> None:
    settings = config.load(environment={})
    assert (settings.port, settings.webhook_name, settings.register) == (8443, "stackrox", True)
    assert settings.spared == ("kube-system", "kube-public", "istio-system")
    assert settings.address is None
    file = tmp_path / "admission.yaml"
    file.write_text("port: 9000\nwebhook_name: ours\n")
    given = {
        "REDOUBT_ADMISSION_PORT": "9001",
        "ROX_SENSOR_ENDPOINT": "sensor:443",
        "POD_NAMESPACE": "secured",
        "REDOUBT_ADMISSION_SPARED_NAMESPACES": "none",
    }
    settings = config.load(file, environment=given, flags={"port": 9002})
    assert (settings.port, settings.webhook_name, settings.sensor) == (9002, "ours", "sensor:443")
    assert (settings.namespace, settings.spared) == ("secured", ())


@pytest.mark.parametrize(
    "given",
    [
        {"PORT": "70000"},
        {"SIMULTANEOUS": "0"},
        {"IMAGE_MEMORY": "-1"},
        {"WEBHOOK_URL": "http://here"},
        {"KUBERNETES": "no"},
        {"LOG_LEVEL": "loud"},
        {"NO_SUCH": "1"},
    ],
)
def test_what_cannot_be_is_refused(given: dict[str, str]) -> None:
    with pytest.raises(UsageError):
        config.load(environment={f"REDOUBT_ADMISSION_{name}": value for name, value in given.items()})


def test_the_room_asks_the_cluster_by_paths_that_names_cannot_leave() -> None:
    import asyncio

    asked: list[str] = []

    class Api:
        async def get(self, path: str) -> bytes:
            asked.append(path)
            return b'{"metadata":{"name":"x"}}'

    asyncio.run(Cluster(Api(), "own").of_pod("../../secrets", "a/b?c"))  # type: ignore[arg-type]
    assert asked == ["/api/v1/namespaces/..%2F..%2Fsecrets/pods/a%2Fb%3Fc"]
