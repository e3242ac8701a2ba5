"""Versions worth asking about: every bound of a package's records, and what lies just beside it.

Deterministic: which neighbours and which packages are taken depends on a checksum of the text alone.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable

_NEIGHBOURS = {
    "pypi": (
        "{}.dev0", "{}a1", "{}rc1", "{}.post1", "{}+local.1", "{}.0", "{}.0.1", "1!{}", "v{}", "{}-oddly",
    ),
    "npm": ("{}-0", "{}-alpha.1", "{}+build.5", "v{}", "{}.x", "{}-rc.10"),
    "golang": (
        "v{}", "{}-0", "{}-rc.1", "{}+incompatible", "v{}-0.20220101000000-abcdefabcdef",
        "v0.0.0-20180101000000-abcdefabcdef", "v{}+dirty", "(devel)",
    ),
    "maven": (
        "{}-alpha-1", "{}-SNAPSHOT", "{}-jre", "{}-android", "{}.RELEASE", "{}.Final", "{}-sp", "{}.1", "{}-rc1",
        "{}.0",
    ),
    "deb": ("{}~", "{}+b1", "{}~bpo1", "{}+deb11u1", "{}.1", "1:{}", "9:{}", "0:{}", "{}a"),
    "rpm": ("{}~rc1", "{}^1", "{}.1", "9:{}", "{}_1", "{}.alma.1"),
    "gem": ("{}.pre", "{}.rc1", "{}.a", "{}.0", "{}.1", "{}-java", "{}.beta2.1"),
    "composer": ("v{}", "{}-beta1", "{}-RC1", "{}-dev", "{}.0", "{}-patch1", "dev-main", "{}-alpha"),
    "semver": ("{}-0", "{}-rc.1", "{}+build.5", "v{}"),
    "pub": ("{}-0", "{}-dev.1", "{}+1", "{}+2.a", "{}+hotfix", "v{}"),
    "julia": ("{}-0", "{}-rc1", "{}+0", "{}+1", "{}+10", "v{}"),
    "nuget": ("{}-beta", "{}.0", "{}.1", "{}+build", "{}-RC.1"),
    "pacman": ("{}.1", "9:{}", "0:{}", "{}rc1"),
    "apk": ("{}_rc1", "{}_p1", "{}.1", "{}_alpha20200101", "{}a", "{}-oddly"),
}  # fmt: skip
_GO_RELEASES = ("go{}", "go{}rc1", "{}rc2", "go{} X:boringcrypto", "go{}-custom", "{}-0")
_NUMBER = re.compile(r"\d+")


def checksum(text: str) -> int:
    """The same on every machine and day."""
    return zlib.crc32(text.encode())


def probes(scheme: str, name: str, bounds: Iterable[str], listed: Iterable[str], most: int) -> list[str]:
    """At most about ``most`` versions of one package; all of its ``bounds`` first."""
    exact = sorted({bound for bound in bounds if bound not in ("", "0", "*")})
    near: set[str] = set()
    shapes = _GO_RELEASES if name in ("stdlib", "toolchain") else _NEIGHBOURS[scheme]
    for bound in exact:
        near.update(shape.format(bound) for shape in shapes)
        near.update(_beside(bound))
        if scheme in ("deb", "rpm", "pacman"):
            near.add(bound.partition(":")[2] or bound)
        if scheme in ("deb", "rpm"):  # to libalpm one without a release equals all releases
            near.add(bound.rpartition("-")[0] or bound)
    near.update(listed)
    near -= {"", *exact}
    chosen = sorted(near, key=lambda text: (checksum(name + text), text))
    taken = sorted(exact, key=lambda text: (checksum(name + text), text))[:most]
    room = max(most - len(taken), most // 2)
    return sorted({*taken, *chosen[:room], "0", "0.0.1", "999999.0.0"})


def _beside(bound: str) -> Iterable[str]:
    """The last number of a version one lower and one higher, and the one before it one higher."""
    numbers = list(_NUMBER.finditer(bound))
    for found in numbers[-2:]:
        for step in (-1, 1):
            if int(found[0]) + step >= 0:
                yield bound[: found.start()] + str(int(found[0]) + step) + bound[found.end() :]
