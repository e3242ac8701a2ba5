"""A Sensor's way to a probe: Central's own port, with a Sensor's certificate, and nothing for others."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from redoubt.central.probes.shelf import Probes as Shelf
from redoubt.central.services import Services
from redoubt.central.store.probes import ProbeStore
from redoubt.cli.roxctl.probes import manifest
from redoubt.errors import RedoubtError
from redoubt.sensor.serving.probes import Probes, from_central
from redoubt.wire.failures import NotFound, Unavailable
from redoubt.wire.identity import Service
from support.sensors import ADMIN, Watched
from support.wire import run

pytestmark = pytest.mark.usefixtures("cheap_passwords")
VERSION = "0a" * 32
KERNEL = "5.10.0-26-amd64"
NAME = f"{VERSION}/collector-ebpf-{KERNEL}.o.gz"


class WithProbes(Watched):
    """A Central that takes kernel support packages."""

    async def equip(self, services: Services) -> None:
        services.probes = Shelf(services.settings.data, ProbeStore(services.pool), upstream=None, taking=True)
        services.parts.append(services.probes)
        await super().equip(services)


def test_a_sensor_gets_probes_that_were_uploaded(migrated: Callable[[str], str], tmp_path: Path) -> None:
    url = migrated("redoubt.central.migrations")
    content = b"\x1f\x8b" + bytes(range(256)) * 20_000

    async def work() -> None:
        async with WithProbes(url, tmp_path) as central:
            head = manifest([(NAME, len(content), zlib.crc32(content))])
            path = f"/api/extensions/probeupload?manifestLen={len(head)}"
            answer = await central.http.post(path, content=head + content, auth=ADMIN)
            assert answer.status_code == 200, answer.text
            at = f"127.0.0.1:{central.server.port}"
            probes = Probes(
                from_central(at, central.certificates.files(Service.SENSOR, identifier="cluster"))
            )
            assert await probes.get(KERNEL, VERSION) == content
            with pytest.raises(NotFound):
                await probes.get("6.1.0", VERSION)
            others = Probes(from_central(at, central.certificates.files(Service.COLLECTOR)))
            with pytest.raises(RedoubtError):
                await others.get(KERNEL, VERSION)
            nobody = Probes(from_central("127.0.0.1:1", central.certificates.files(Service.SENSOR)))
            with pytest.raises(Unavailable):
                await nobody.get(KERNEL, VERSION)
            assert await probes.get(KERNEL, VERSION) == content

    run(work(), 60)
