"""The method of old clusters against the real kernel: a probe out of a folder, one by way of the Sensor, one of others, none."""

from __future__ import annotations

import asyncio
import gzip
import os
from pathlib import Path

import pytest

from redoubt.collector import kernelprobes, loader
from redoubt.wire.identity import Service
from support.collecting import begin
from support.kernel import DEADLINE, Contained, needs_bpf
from support.runtime import Sensor, Store, sensor
from support.wire import Certificates, run, until

pytestmark = needs_bpf
KERNEL = os.uname().release
NAME = f"collector-ebpf-{KERNEL}.o.gz"


async def tried(tmp_path: Path, packages: dict[str, bytes], probes: Path) -> tuple[int, str]:
    certificates = Certificates(tmp_path / "tls")
    async with sensor(Store(), certificates.material(Service.SENSOR)) as serving:
        serving.packages = packages
        running = begin(certificates, serving.port, "collection_method=EBPF", f"probes={probes}")
        try:
            return await asyncio.to_thread(running.ended)
        finally:
            running.end()


async def watches(tmp_path: Path, packages: dict[str, bytes], probes: Path, container: Contained) -> Sensor:
    certificates = Certificates(tmp_path / "tls")
    store = Store()
    store.add("web", container.identifier, container.pod)
    async with sensor(store, certificates.material(Service.SENSOR)) as serving:
        serving.packages = packages
        running = begin(certificates, serving.port, "collection_method=EBPF", f"probes={probes}")
        try:
            await until(lambda: bool(serving.runtime.sessions), DEADLINE)
            await until(lambda: serving.runtime.sessions[0].health.method == "ebpf", DEADLINE)
            await asyncio.to_thread(container.run, "/bin/echo", "seen")
            await until(lambda: bool(serving.sent.processes), DEADLINE)
        finally:
            running.end()
        return serving


def test_a_probe_out_of_the_images_folder_is_loaded(tmp_path: Path) -> None:
    folder = tmp_path / "probes"
    folder.mkdir()
    (folder / NAME.removesuffix(".gz")).write_bytes(loader.built())
    with Contained() as container:
        serving = run(watches(tmp_path, {}, folder, container), DEADLINE)
    assert [each.pod_id for each in serving.sent.processes] == ["web-1"]


def test_a_probe_comes_from_centrals_packages_by_way_of_the_sensor(tmp_path: Path) -> None:
    packages = {f"{kernelprobes.version()}/{NAME}": gzip.compress(loader.built())}
    with Contained() as container:
        serving = run(watches(tmp_path, packages, tmp_path / "nothing", container), DEADLINE)
    assert [each.pod_id for each in serving.sent.processes] == ["web-1"]


@pytest.mark.parametrize("where", ["folder", "package"])
def test_a_probe_of_others_is_a_named_error_and_never_loaded(tmp_path: Path, where: str) -> None:
    foreign = gzip.compress(b"\x7fELF not ours")
    folder = tmp_path / "probes"
    folder.mkdir()
    if where == "folder":
        (folder / NAME).write_bytes(foreign)
    code, said = run(tried(tmp_path, {f"{kernelprobes.version()}/{NAME}": foreign}, folder), DEADLINE)
    assert code == 3
    assert "not built from Redoubt's source" in said
    assert NAME in said


def test_none_at_all_ends_it_with_the_reason(tmp_path: Path) -> None:
    code, said = run(tried(tmp_path, {}, tmp_path / "nothing"), DEADLINE)
    assert code == 3
    assert f"no probe for kernel {KERNEL}" in said
    assert "collection_method=CORE_BPF" in said


def test_a_sensor_that_is_away_is_another_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDOUBT_COLLECTOR_PROBE_SECONDS", "1")
    running = begin(Certificates(tmp_path / "tls"), 1, "collection_method=EBPF", f"probes={tmp_path}")
    try:
        code, said = running.ended()
    finally:
        running.end()
    assert code == 6
    assert "127.0.0.1:1" in said
