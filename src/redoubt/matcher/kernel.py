"""Packages that are built from the kernel's sources and aren't a kernel: headers, documents, tools. Pure.

Advisories speak of the source package, so each of these would carry every flaw of the kernel: a thousand, for a file
of constants that a compiler needs. In a container none of them runs. A kernel proper (an image, its modules) keeps
its findings, because what is scanned may be the root of a machine.
"""

from __future__ import annotations

import re
from functools import lru_cache

from redoubt.model import PackageFindings, Suppression

KIND = "kernel"

_SOURCES = {
    "deb": re.compile(r"linux(?:-.*)?"),  # Ubuntu has one for each flavour (linux-aws, linux-signed-hwe-6.8)
    "rpm": re.compile(r"(?:kernel|linux)(?:-.*)?"),
    "apk": re.compile(r"linux(?:-.*)?"),
}
#: How the names of all of these begin.
_BEGINNINGS = ("linux", "kernel")
#: Sources that are called so and aren't the kernel's.
_OTHER = re.compile(
    r"linux-(?:base|firmware.*|pam|atm|igd|show-player|sound-base|user-chroot|wlan-ng.*|lts-firmware)"
    r"|kernel-(?:wedge|handbook|package|srpm-macros|rpm-macros)"
)
#: What a kernel's own binary packages are called.
_KERNELS = {
    "deb": re.compile(r"linux-(?:image|modules|uc20-efi)(?:-.*)?"),
    "rpm": re.compile(r"(?:kernel|linux)(?:-.*)?"),
    "apk": re.compile(r"linux-.*"),
}
#: Words that no kernel has in its name.
_WORDS = frozenset(
    (  # noqa: SIM905
        "headers devel dev doc docs html tools libs source macros abi stablelists whitelists syms cross srpm "
        "selftests debuginfo debugsource dbg debug perf libc api"
    ).split()
)


@lru_cache(maxsize=1024)
def is_not_one(kind: str, name: str, source: str) -> bool:
    """Whether a package of a type (``deb``, ``rpm``, ``apk``) comes from the kernel's sources and is no kernel.

    ``source`` may be empty where it is called as the package is.
    """
    sources = _SOURCES.get(kind)
    source = source or name
    if sources is None or not sources.fullmatch(source) or _OTHER.fullmatch(source):
        return False
    return (name != source and not _KERNELS[kind].fullmatch(name)) or not _WORDS.isdisjoint(name.split("-"))


def rule(package: PackageFindings) -> Suppression | None:
    """Why findings do not count: they are the kernel's, and the package is none. A ``suppress.PackageRule``."""
    if not (package.source_name or package.name).startswith(_BEGINNINGS):
        return None  # nearly always
    if not is_not_one(package.type, package.name, package.source_name):
        return None
    source = package.source_name or package.name
    return Suppression(
        kind=KIND,
        source=f"{package.type}/{package.name}",
        reason=f"built from the kernel's sources ({source}) and no kernel: nothing in it runs as one",
    )
