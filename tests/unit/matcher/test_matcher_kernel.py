"""What is built from the kernel's sources and is no kernel does not count, and is shown with the reason."""

from __future__ import annotations

import pytest
from matcher_snapshot import DEBIAN, MemorySnapshot, affected, index

from redoubt.matcher import explain, kernel, match
from redoubt.matcher.explain import Verdict
from redoubt.model import Advisory, Detection, Package

TEAM = "Debian Kernel Team <debian-kernel@lists.debian.org>"


@pytest.mark.parametrize(
    ("kind", "name", "source"),
    [
        ("deb", "linux-libc-dev", "linux"),
        ("deb", "linux-headers-5.10.0-1-amd64", "linux"),
        ("deb", "linux-headers-generic", "linux-meta"),
        ("deb", "linux-doc", "linux"),
        ("deb", "linux-perf-5.10", "linux"),
        ("deb", "linux-source-5.10", "linux"),
        ("deb", "linux-image-amd64-dbg", "linux"),
        ("deb", "linux-tools-common", "linux"),
        ("deb", "bpftool", "linux"),
        ("rpm", "kernel-headers", "kernel"),
        ("rpm", "kernel-rt-devel", "kernel-rt"),
        ("rpm", "kernel-tools-libs", "kernel"),
        ("rpm", "kernel-headers", ""),
        ("rpm", "bpftool", "kernel"),
        ("rpm", "perf", "kernel"),
        ("rpm", "linux-api-headers", ""),
        ("apk", "linux-lts-dev", "linux-lts"),
        ("apk", "linux-headers", ""),
    ],
)
def test_headers_documents_and_tools_are_no_kernel(kind: str, name: str, source: str) -> None:
    assert kernel.is_not_one(kind, name, source)


@pytest.mark.parametrize(
    ("kind", "name", "source"),
    [
        ("deb", "linux-image-5.10.0-1-amd64", "linux"),
        ("deb", "linux-image-6.8.0-1-aws", "linux-signed-aws"),
        ("deb", "linux-modules-extra-6.8.0-1-generic", "linux"),
        ("rpm", "kernel", ""),
        ("rpm", "kernel-core", "kernel"),
        ("rpm", "kernel-uek-modules", "kernel-uek"),
        ("rpm", "kernel-default", "kernel-default"),
        ("rpm", "linux", ""),
        ("deb", "linux", ""),
        ("apk", "linux-lts", ""),
        ("apk", "linux-virt", "linux-lts"),
        # Others.
        ("deb", "linux-base", ""),
        ("apk", "linux-pam", ""),
        ("rpm", "linux-firmware", ""),
        ("apk", "linux-firmware-intel", "linux-firmware"),
        ("deb", "util-linux", ""),
        ("pypi", "kernel-headers", "kernel"),
    ],
)
def test_kernels_and_other_packages_are_left_alone(kind: str, name: str, source: str) -> None:
    assert not kernel.is_not_one(kind, name, source)


def deb(name: str) -> Package:
    return Package(type="deb", name=name, version="5.10.1-1", source_name="linux", vendor=TEAM)


def definitions() -> MemorySnapshot:
    ranges = affected("debian:11", fixed="5.10.9-1")
    return MemorySnapshot().add(Advisory(id="CVE-2099-7", source="debian"), "debian:11", "linux", ranges)


def test_a_header_packages_findings_are_suppressed_and_a_kernels_stay() -> None:
    report = match(index([deb("linux-libc-dev"), deb("linux-image-5.10.0-1-amd64")], DEBIAN), definitions())
    assert [package.name for package in report.packages] == ["linux-image-5.10.0-1-amd64"]
    assert [package.name for package in report.suppressed] == ["linux-libc-dev"]
    reason = report.suppressed[0].findings[0].suppression
    assert reason is not None
    assert (reason.kind, reason.source) == ("kernel", "deb/linux-libc-dev")
    assert "(linux)" in reason.reason


def test_comprehensive_detection_suppresses_none() -> None:
    report = match(index([deb("linux-libc-dev")], DEBIAN), definitions(), detection=Detection.COMPREHENSIVE)
    assert [package.name for package in report.packages] == ["linux-libc-dev"]
    assert report.suppressed == ()


def test_explain_says_that_it_is_suppressed() -> None:
    told = explain(index([deb("linux-libc-dev")], DEBIAN), definitions(), "CVE-2099-7")
    assert [case.verdict for case in told.cases] == [Verdict.SUPPRESSED]
