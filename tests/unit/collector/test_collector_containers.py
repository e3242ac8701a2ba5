from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redoubt.collector import containers
from redoubt.collector.containers import Container

ID, OTHER = "0123456789abcdef" * 4, "fedcba9876543210" * 4
POD = "12345678-9abc-def0-1234-56789abcdef0"
UNDER = POD.replace("-", "_")
STATIC = "0123456789abcdef" * 2


@pytest.mark.parametrize(
    ("path", "pod"),
    [
        (f"/kubepods/burstable/pod{POD}/{ID}", POD),
        (f"/kubepods/pod{STATIC}/{ID}", STATIC),
        (f"/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{UNDER}.slice/cri-containerd-{ID}.scope", POD),
        (f"/kubepods.slice/kubepods-pod{UNDER}.slice/crio-{ID}.scope", POD),
        (f"/kubepods.slice/kubepods-pod{UNDER}.slice/crio-{ID}.scope/container", POD),
        (f"/kubepods.slice/kubepods-pod{UNDER}.slice/docker-{ID}.scope/init.scope", POD),
        (f"/system.slice/kubepods-burstable-pod{UNDER}.slice:cri-containerd:{ID}", POD),
        (f"/kubelet/kubepods/besteffort/pod{POD}/{ID}", POD),
        (f"/docker/{ID}", ""),
        (f"/system.slice/docker-{ID}.scope", ""),
        (f"/machine.slice/libpod-{ID}.scope/container", ""),
        (f"/docker/{OTHER}/kubepods/pod{POD}/{ID}", POD),
        (f"../../{ID}", ""),
        (f"kubepods/pod{POD}/{ID}", POD),
        (f"/kubepods/pod{POD}/{ID}/kubepods/pod{STATIC}/{OTHER}", POD),
        (f"/kubepods/pod{POD}/{ID}/docker/{OTHER}", POD),
        (f"/docker/{ID}/docker/{OTHER}", ""),
    ],
)  # fmt: skip
def test_a_containers_path(path: str, pod: str) -> None:
    assert containers.find(path) == Container(ID, pod)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/init.scope",
        f"/kubepods/pod{POD}",
        f"/kubepods/pod{POD}/{ID[:63]}",
        f"/kubepods/pod{POD}/{ID}0",
        f"/kubepods/pod{POD}/{ID.upper()}",
        f"/kubepods.slice/kubepods-pod{UNDER}.slice/crio-conmon-{ID}.scope",
        f"/x{ID}",
        f"/{ID}.service",
        f"/{ID}\n/x",
    ],
)
def test_what_is_no_containers_path(path: str) -> None:
    assert containers.find(path) is None


@given(st.text(alphabet="/-:._podabcdef0123456789", max_size=300))
def test_whatever_the_path_an_identifier_has_64_digits(path: str) -> None:
    found = containers.find(path)
    assert found is None or (len(found.identifier) == 64 and found.identifier in path)


def test_this_process_and_one_that_is_none() -> None:
    assert containers.of_process(0) is None
    found = containers.of_process(os.getpid())
    assert found is None or len(found.identifier) == 64
