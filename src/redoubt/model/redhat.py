"""Red Hat's names: products as CPEs, and which packages are a kernel.

The feed writes with these rules and the matcher reads with them, so they live in one place. Pure text.
Sources: Red Hat's security data guidelines ("CPEs", "Technical guidance for scanning vendors"), NISTIR 7695
(CPE names) and 7696 (matching).
"""

from __future__ import annotations

import enum
import re
from functools import lru_cache
from typing import NamedTuple

#: Namespace of products whose names say no major release of Red Hat Enterprise Linux.
LAYERED = "redhat"
#: Namespace of container images, each of them a package.
CONTAINERS = "rhcc"

MAIN = "enterprise_linux"
_STREAM = re.compile(
    r"(?:rhel|enterprise_linux)_(?:eus|aus|tus|e4s|els)(?:_long_life)?|rhel_mission_critical"
)
_EDITION_MAJOR = re.compile(r"el(\d{1,2})(?!\d)")
_BUILD_MAJOR = re.compile(r"[.+_]el(\d{1,2})(?!\d)")
_KERNEL = re.compile(
    r"kernel(?:-rt)?(?:-64k)?(?:-(?:core|modules|modules-core|modules-extra|kvm|uki-virt|uki-virt-addons))?"
)
_FORM = re.compile(r"cpe:(?:/|2\.3:)[aoh](?::[^\s:]*){2,11}")


class Cpe(NamedTuple):
    """A Red Hat product. Parts are as written and empty where they are any; ``version`` is the product's."""

    part: str
    product: str
    version: str = ""
    update: str = ""
    edition: str = ""


class Near(enum.IntEnum):
    """How near an advisory's product is to that of an installed package; the smaller the nearer."""

    SAME = 1  # the advisory's product is the package's, or contains it
    RELEASE = 2  # another channel of the same release or stream of Red Hat Enterprise Linux
    MAIN_STREAM = 3  # the main stream of the same major release, which extended streams branch from


@lru_cache(maxsize=1 << 14)
def cpe(text: str) -> Cpe | None:
    """``cpe:/a:redhat:openshift:4.13::el8`` or the same in CPE 2.3; None for what is no Red Hat product."""
    if len(text) > 500 or not _FORM.fullmatch(text):
        return None
    parts = text.removeprefix("cpe:").removeprefix("2.3:").removeprefix("/").split(":")
    parts = ["" if part in ("*", "-") else part.replace("\\", "") for part in parts]
    if parts[1] != "redhat" or not parts[2]:
        return None
    return Cpe(parts[0], *parts[2:6])


def is_linux(product: Cpe) -> bool:
    """Whether it is Red Hat Enterprise Linux, its main stream or an extended one."""
    return product.product == MAIN or _STREAM.fullmatch(product.product) is not None


def major(product: Cpe, build: str = "") -> str:
    """The major release of Red Hat Enterprise Linux: of the product, of its edition (``el9``), of ``build``.

    ``build`` is a package's version, which may end in ``.el9_4``. Empty where none of them says one.
    """
    if is_linux(product) and (number := product.version.partition(".")[0]).isdigit():
        return number
    found = _EDITION_MAJOR.match(product.edition) or _BUILD_MAJOR.search(build)
    return found[1] if found else ""


@lru_cache(maxsize=1 << 16)
def near(advisory: str, installed: str) -> Near | None:
    """How near the product of an advisory is to one that a package belongs to; None if it is another.

    ``SAME`` follows NISTIR 7696: what the advisory leaves open is any. Red Hat also means ``openshift:4`` to
    hold ``openshift:4.13``: a version counts as the beginning of another, up to a dot. An extended stream
    is only itself: advisories of other streams, also later ones, say nothing of its packages.
    """
    theirs, ours = cpe(advisory), cpe(installed)
    if theirs is None or ours is None:
        return None
    if theirs.product == ours.product and _begins(ours.version, theirs.version):
        exact = theirs.version in ("", ours.version)
        if theirs.part == ours.part and (
            all(a in ("", b) for a, b in zip(theirs[3:], ours[3:], strict=True))
            if exact
            else not any(theirs[3:])
        ):
            return Near.SAME
        if is_linux(theirs):
            return Near.RELEASE
    if theirs.product == MAIN and is_linux(ours) and major(theirs) == major(ours) != "":
        return Near.MAIN_STREAM
    return None


def _begins(version: str, beginning: str) -> bool:
    return not beginning or version == beginning or version.startswith(f"{beginning}.")


def is_kernel(name: str) -> bool:
    """Whether a package of the kernel's sources is one that is run, and not its headers, tools or documents."""
    return _KERNEL.fullmatch(name) is not None
