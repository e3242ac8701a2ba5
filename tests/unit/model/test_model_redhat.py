"""Red Hat's products: which one an advisory speaks of."""

from __future__ import annotations

import pytest

from redoubt.model import redhat
from redoubt.model.redhat import Near

_9 = "cpe:/o:redhat:enterprise_linux:9"
BASE_9, APP_9 = f"{_9}::baseos", "cpe:/a:redhat:enterprise_linux:9::appstream"
EUS_92, EUS_94 = "cpe:/o:redhat:rhel_eus:9.2::baseos", "cpe:/a:redhat:rhel_eus:9.4::appstream"


@pytest.mark.parametrize(
    ("advisory", "installed", "near"),
    [
        (BASE_9, BASE_9, Near.SAME),
        (_9, BASE_9, Near.SAME),
        (BASE_9, _9, Near.RELEASE),
        (_9, APP_9, Near.RELEASE),
        (APP_9, BASE_9, Near.RELEASE),
        ("cpe:/o:redhat:enterprise_linux:8", APP_9, None),
        ("cpe:/o:redhat:enterprise_linux:1", "cpe:/o:redhat:enterprise_linux:10", None),
        ("cpe:/o:redhat:enterprise_linux:10", "cpe:/o:redhat:enterprise_linux:10.1", Near.SAME),
        ("cpe:/o:redhat:enterprise_linux:10.0", "cpe:/o:redhat:enterprise_linux:10.1", Near.MAIN_STREAM),
        # An extended stream is only itself; it falls back to the main stream, never the other way round.
        (EUS_92, EUS_92, Near.SAME),
        (EUS_92, BASE_9, None),
        (EUS_94, EUS_92, None),
        (EUS_92, "cpe:/a:redhat:rhel_eus:9.2::appstream", Near.RELEASE),
        ("cpe:/a:redhat:rhel_aus:9.2::baseos", EUS_92, None),
        (BASE_9, EUS_92, Near.MAIN_STREAM),
        ("cpe:/o:redhat:enterprise_linux:8::baseos", EUS_92, None),
        # Layered products: a version holds those below it, an edition is not passed over.
        ("cpe:/a:redhat:openshift:4", "cpe:/a:redhat:openshift:4.13::el8", Near.SAME),
        ("cpe:/a:redhat:openshift:4.1", "cpe:/a:redhat:openshift:4.13::el8", None),
        ("cpe:/a:redhat:openshift:4::el9", "cpe:/a:redhat:openshift:4.13::el9", None),
        ("cpe:/a:redhat:openshift:4.13::el9", "cpe:/a:redhat:openshift:4.13::el8", None),
        ("cpe:/a:redhat:openshift:4.13", "cpe:/a:redhat:openshift:4.13::el8", Near.SAME),
        ("cpe:/a:redhat:ocp_tools", "cpe:/a:redhat:ocp_tools:4.12::el8", Near.SAME),
        ("cpe:/a:redhat:openshift_logging:4", "cpe:/a:redhat:openshift:4", None),
        ("cpe:2.3:o:redhat:enterprise_linux:9:*:baseos:*:*:*:*:*", BASE_9, Near.SAME),
        ("cpe:/o:example:enterprise_linux:9", BASE_9, None),
        ("nonsense", BASE_9, None),
        (BASE_9, "", None),
    ],
)
def test_nearness(advisory: str, installed: str, near: Near | None) -> None:
    assert redhat.near(advisory, installed) == near


@pytest.mark.parametrize(
    "name", ["kernel", "kernel-core", "kernel-rt", "kernel-rt-64k-modules-extra", "kernel-uki-virt"]
)
def test_kernels(name: str) -> None:
    assert redhat.is_kernel(name)


@pytest.mark.parametrize(
    "name", ["kernel-headers", "kernel-doc", "kernel-tools-libs", "kernel-srpm-macros", "kernelshark"]
)
def test_what_is_only_named_like_one(name: str) -> None:
    assert not redhat.is_kernel(name)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "cpe:/",
        "cpe:/a:redhat",
        "cpe:/a:redhat:",
        "cpe:/x:redhat:a:1",
        "cpe:/a:redhat:a b",
        "cpe:/a:redhat:" + "a" * 600,
    ],
)
def test_what_is_no_product(text: str) -> None:
    assert redhat.cpe(text) is None
