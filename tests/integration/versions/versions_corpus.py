"""What the oracles are asked about: traps of our own, neighbours of real versions, and invented ones.

Everything is deterministic: the same pairs in every run.
"""

from __future__ import annotations

import functools
import gzip
import json
import os
import random
import re
import zipfile
from collections.abc import Iterator
from itertools import combinations_with_replacement
from pathlib import Path

SHARED = Path(os.environ.get("REDOUBT_SHARED", Path(__file__).parents[4] / "shared")) / "data"

#: Scheme → versions that are hard to read, each compared with each.
TRAPS = {
    "deb": ["1", "1.0", "1.00", "1.0-0", "1.0-1", "1.0-01", "0:1.0-1", "1:0.1", "01:0.1", "1.0~", "1.0~~", "1.0~rc1-1", "1.0~rc1", "1.0~rc1~git2", "1.0-", "-1", "1.0+b1", "1.0+dfsg-1", "1.0-1+b1", "1.0-1+deb11u1", "1.0-1~deb11u1", "1.0-1~bpo9+1", "1.0a", "1.0A", "1.0Z", "1.0.1", "1.0-1-1", "1.0-a", "1.0-~", "1.0.~", "1.0:1", "1:1.0:1", "a", "1_0", "z1", "~1", "+1", ".1", "2147483647:1", "2147483648:1", "a:1", ":1", "1:", "1.é", "1.z", "1.+", "1.18446744073709551617", "1.18446744073709551616", "1.0-0ubuntu1", "7u181-2.6.14-1~deb8u1", "0", "0-0", "00", "0~", "1.0-0+deb9u4", "1.0+20190101", "1.0+git20190101.abcdef", "2:1.0", "10:1.0", "1.10", "1.9", "1.09", "1..1", "1.-1", "1.0.a-1"],
    "rpm": ["1", "1-", "1-1", "1.0-1", "01.0-1", "1.00-1", "1.0-01", "0:1-1", ":1-1", "1:1-1", "01:1-1", "10:1-1", "a:1-1", "a:2-1", "1a:1-1", "1.0~rc1-1", "1.0~-1", "1.0~~-1", "1.0^-1", "1.0^git1-1", "1.0^git1~rc1-1", "1.0^^-1", "1.0~^-1", "1.0^~-1", "1.0a-1", "1.0A-1", "1.0.a-1", "1.0.-1", "1.0_1-1", "1_0-1", "1+0-1", "1..0-1", "1.0-1.el8", "1.0-1.el8_2", "1.0-1.el8.2", "1.0-1.el10", "1.0-1.module_el8.9.0+3717+81096349", "-1", "-", "a", "b", "ab", "a1", "1b", "1.0-1-1", "~", "^", ".", "1.é", "1.18446744073709551617-1", "1.18446744073709551616-1", "1-", "1-~", "1-^", "1-0", "1.0-1~el8", "1.0-1^el8", "0", "00", "~1", "^1", ".1", "1~", "1^", "4294967296:1", "1:1:1"],
    "pypi": ["1", "1.0", "1.0.0", "01.0", "1.00", "v1.0", "V1.0", "1.0a1", "1.0.a.1", "1.0-alpha_1", "1.0A1", "1.0a", "1.0a0", "1.0b1", "1.0beta1", "1.0c1", "1.0rc1", "1.0-pre1", "1.0preview1", "1.0.dev", "1.0.dev0", "1.0dev1", "1.0-dev-1", "1.0a1.dev1", "1.0.post", "1.0.post0", "1.0-1", "1.0-01", "1.0.post1", "1.0rev1", "1.0r1", "1.0.post1.dev1", "1.0a1.post1", "1.0a1-1", "1.0+a", "1.0+A", "1.0+1", "1.0+01", "1.0+a.1", "1.0+a-1", "1.0+a_1", "1.0+1a", "1.0+10", "1.0+9", "1!1.0", "0!1.0", "1!0.5", "1.0+", "1.0.+a", "1.0a-.dev1", "1.0--1", "1.0.post.dev", "2022.12.0b4", "1.0.0.0.1", "0", "0.0", "1.18446744073709551617", "1.18446744073709551616", "1.0x", "1.0.1a1rc1", "1.0dev", "1.0.dev1.post1", "1.0+ß", "1.0+ſ", "1.0+K", "1.0.poſt1", "١.٠", "1.٠", "0.1-bulbasaur", "1.0-p1", "1.0.*", " 1.0", "1.0 ", "\n1.0\t", "1 .0", "\u20031.0", "1.0\x1c"],
    "npm": ["1.0.0", "v1.0.0", "=1.0.0", "=v1.0.0", "v=1.0.0", "vv1.0.0", "V1.0.0", "1.0", "1", "01.0.0", "1.00.0", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.01", "1.0.0-alpha.0a", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1", "1.0.0-rc1", "1.0.0+build", "1.0.0+build.01", "1.0.0-rc.1+b", "1.0.0--", "1.0.0--1", "1.0.0-1-", "1.0.0-0", "1.0.0-00", "1.0.0-", "1.0.0+", "1.0.0-a..b", "1.0.0-a.", "1.0.0-A", "1.0.0-a", "1.0.0-Z", "1.0.0-9", "1.0.0-10", "1.0.0rc1", "1.0.0.1", "1.0.0-a_b", "1.0.0-é", "1.٠.0", "9007199254740991.0.0", "9007199254740992.0.0", "1.9007199254740991.0", "1.0.9007199254740993", "1.10.0", "1.9.0", "2.0.0-canary.0a1b2c", "latest", "*", "x", " 1.0.0", "1.0.0\n", "v 1.0.0", "= 1.0.0", "\xa01.0.0\ufeff", "1.0.0\x1c", "1.0.0-" + "a" * 250, "1.0.0-" + "a" * 251],
    "maven": ["1", "1.0", "1.0.0", "1-0", "1.ga", "1-ga", "1.0.Final", "1-FINAL", "1.release", "1-SNAPSHOT", "1.0-SNAPSHOT", "1.0.SNAPSHOT", "1.0-alpha", "1.0-alpha-1", "1.0-alpha1", "1.0a1", "1.0a", "1.0-a1", "1.0-a-1", "1.0b2", "1.0-beta2", "1.0m3", "1.0-milestone-3", "1.0.M3", "1.0-rc1", "1.0-cr1", "1.0.CR1", "1.0.RC1", "1.0-RC-1", "1.0rc", "1.0-sp", "1.0-sp1", "1.0.SP1", "1-1", "1.1", "1-1.1", "1.1-1", "1-01", "1-jre", "1-android", "31.1-jre", "31.1-android", "3.7.0.rc.2", "3.7.0.Final", "3.7.0-04", "3.7", "3.7.0", "5.0.0.RC1", "5.0.0.RELEASE", "9.4.11.v20180605", "9.4.11-alpha", "9.4.11", "1.foo", "1-foo", "1.foo.1", "1.foo-1", "1.0.0.foo.1", "0-SNAPSHOT", "0", "0.0.1", "r03", "Brixton.SR1", "Finchley.RELEASE", "1.2.sp.1", "1.0.alpha", "1.sp", "1..1", "1.-1", "1-.1", "1--1", "-1", ".1", "-", ".", "--", "1-", "1.", "1.0-", "1.0.-", "a", "1a", "1a1", "a1b2", "1x1", "1.0.0.Final-redhat-1", "1.0.0.Final-redhat-00001", "1.0+1", "1_0", "1.0.1_01", "20040616", "1.2147483648", "1.999999999", "1.1000000000", "1.9223372036854775808", "1.999999999999999999", "1.1000000000000000000", "1.00000000000000000001", "2.0.0.alpha-1", "1.2.3-4-5-6-7", "1-1-1-1", "1.x.y.z", "final", "ga", "sp", "rc.1", "1.ga.1", "1-ga-1", "1-ga.1", "1.0.ga.0-ga"],
    "golang": ["v1.0.0", "1.0.0", "v1.0", "1.0", "v1", "1", "v1.0.0-rc.1", "v1.0.0-rc.2", "v1.0.0-rc1", "v1.0.0-rc.10", "v1.0.0-0", "v1.0.0-pre", "v1.0.0+incompatible", "v2.0.0+incompatible", "v2.0.0", "v1.0.0+a.b", "v0.0.0-20191109021931-daa7c04131f5", "v0.0.0-20191109021930-daa7c04131f5", "v1.2.4-0.20191109021931-daa7c04131f5", "v1.2.4", "v1.2.3", "v1.2.4-rc.1.0.20191109021931-daa7c04131f5", "v1.2.4-rc.1", "v01.0.0", "v1.00.0", "v1.0.0-01", "v1.0.0-01a", "v1.0.0-a..b", "v1.0.0-", "v1.0.0+", "v1.0.0+a..b", "v1.0-rc.1", "v1.0+a", "V1.0.0", "vv1.0.0", "v1.0.0.0", "v", "v1.", "v18446744073709551617.0.0", "v18446744073709551616.0.0", "1.22.0-0", "1.21.0-rc.2", "latest", "v1.0.0-A", "v1.0.0-a", "v1.0.0--", "v1.0.0-0-"],
    "semver": ["1.0.0", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1", "1.0.0+b", "1.0.0-rc.1+b", "1.2.0", "1.10.0", "1.9.0", "2.0.0-0", "2.0.0-A", "2.0.0-a", "2.0.0--", "2.0.0-0-", "0.0.0", "0.0.0-0"],
    "gem": ["1", "1.0", "1.0.0", "01", "0", "0.0", "1.a", "1.0.a", "1.0.0.a", "1.a.0", "1.a.1", "1.0.a.1", "1.a.0.b", "1.a.0.0.b", "1.a.0.0.1", "1.a.0.1", "1.a.1.0", "1.a.b", "1.A", "1.Z", "1.a1", "1.a01", "1.a10", "1.1a", "1a", "1a1", "1.0a", "1.rc1", "1.rc.1", "1.0.0.rc1", "1.0.0-rc1", "1.0.0-x86_64", "1.0.0-java", "1.16.0-x86-mingw32", "1.0.0.pre.java", "1-", "1-1", "1-1-1", "1.0-a", "1..1", "1.", ".1", "-1", "a", "a.1", "", " ", " 1.0 ", "1.0\n", "1 .0", "1_0", "1.0_1", "1.é", "v1", "1.10", "1.9", "1.18446744073709551617", "1.18446744073709551616", "2.0.0.beta.2", "2.0.0.beta2", "2.0.0.beta10", "1.0.1", "1.0.0.1", "1.0.0.0.a.0.0", "1.0.--", "1.0--1", "1.0-.1", "1.0+b"],
    "composer": ["1", "1.0", "1.0.0", "1.0.0.0", "1.0.0.0.0", "v1", "V1.0", "01.0", "1.0-dev", "1.0.x-dev", "1.x-dev", "1.X-dev", "1.*-dev", "1.0dev", "1.0.dev", "1.0-alpha", "1.0a", "1.0a1", "1.0alpha1", "1.0-alpha.1", "1.0-alpha-1", "1.0-alpha1.2", "1.0_beta", "1.0b2", "1.0-beta2", "1.0-beta0", "1.0-beta", "1.0-RC", "1.0-rc1", "1.0RC1", "1.0.RC.1", "1.0-c1", "1.0-p1", "1.0-pl1", "1.0-patch1", "1.0-patch", "1.0-patch1-dev", "1.0-beta1-dev", "1.0-beta-dev", "1.0-stable", "1.0-stable-dev", "1.0-stable1", "1.0@dev", "1.0@stable", "1.0@RC", "1.0@foo", "1.0+b", "1.0-beta+b.1", "1.0+b+c", "1.0+", "+b", "dev-master", "dev-1.0", "DEV-foo", "master", "trunk", "Master", "dev-", "foo-dev", "x-dev", "", " 1.0 ", "1.0\t", "1 .0", "2010-01-02", "2010.01.02", "20100102", "2010-01-02-beta", "20100102-dev", "20100102.1", "201001021530", "2010-01-02-10-20-30", "2010-01-02.5", "20100102-203040", "20100102.203040-p1", "99999.1", "100000.1", "123456", "123456-dev", "1.18446744073709551616.0", "1.0-foo", "1.0-1", "1.0-1-dev", "1..0", "1.", ".1", "1.0.", "1.0-", "1-dev-", "1.9999999", "1.9999999.9999999.9999999-dev", "latest", "*", "1.*", "é", "1.0 as 2.0", "0", "0.0.0.0-dev", "3.0.0-beta10", "3.0.0-beta9", "1.2.3.4-beta1.2-3"],
    "nuget": ["1.0.0", "1.0.0-alpha", "1.0.0-Alpha", "1.0.0-ALPHA.1", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-Beta.2", "1.0.0-beta.11", "1.0.0-rc.1", "1.0.0-RC.1+b", "1.0.0+b", "1.10.0", "1.9.0", "2.0.0-0", "2.0.0-A", "2.0.0-a", "2.0.0--", "2.0.0-0-", "2.0.0-Z", "2.0.0-z0", "0.0.0", "0.0.0-0", "1.0.0-", "1.0.0+", "1.0.0-a..b", "1.0.0-a_b", "2147483647.0.0"],
    "jvm": ["9", "11", "11.0.1", "11.0.13", "11.0.13+8", "11.0.13+9", "11.0.13+8-LTS", "11.0.13-ea", "11.0.13-ea+8", "11.0.13-internal", "11.0.13-1", "11.0.13-2", "11.0.13-10", "11.0.13-01", "11.0.13-ea1", "11.0.13-EA", "11.0.9.1", "11.0.9.1+1", "11.0.9", "11.0.10", "17", "17-ea", "17-ea+35", "17+35", "17+35-2724", "17+-opt", "17-ea+-opt", "17-ea-opt", "17+", "17-", "17+08", "17+0", "17.0.1", "17.0.1.0.1", "17.0.0.0.1", "17.0.15+6-Debian-1deb12u1", "17.0.01", "017", "0", "0.1", "17..1", "17.", ".17", "", " 17", "17 ", "17_1", "17.x", "17u1", "v17", "21.0.1+12-LTS", "21.0.1+12-LTS-29", "21-loom+7-60", "22.0.2-a.b", "22.0.2+5-a.b", "17+5+6", "17é", "99999"],
    "pacman": ["1", "1-", "1-1", "1.0-1", "01.0-1", "1.00-1", "1.0-01", "1.0-1.1", "0:1-1", ":1-1", "1:1-1", "01:1-1", "10:1-1", "a:1-1", "a:2-1", "1a:1-1", "1.0rc1-1", "1.0.rc1-1", "1.0a-1", "1.0A-1", "1.0.a-1", "1.0..a-1", "1.0.-1", "1.0..-1", "1.0.", "1.0..1-1", "1.0...1-1", "1.0.1-1", "1.0_1-1", "1_0-1", "1+0-1", "1~0-1", "1^0-1", "1..0-1", "1.0~rc1-1", "1.0b1-1", "1.0.1a-1", "-1", "-", "1.0-", "a", "b", "ab", "a1", "a-1", "ab-1", "a1-1", "a.1-1", "1b-1", "1.0-1-1", "~", ".", ".-1", ".a-1", "..1-1", ".1-1", "1.é-1", "1.é", "1é1-1", "1.18446744073709551617-1", "1.18446744073709551616-1", "1-~", "1-.", "1-0", "1-a", "1-1a", "1-1.", "1-1.a", "r1234.abcdef0-1", "r1235.abcdef0-1", "20200101-1", "6.12.1.arch1-1", "6.12.1.arch2-1", "6.12.arch1-1", "1:1:1", "1:1:1-1", "2147483648:1-1", "1.0 -1", "1 0-1", "1.0\n-1"],
}  # fmt: skip

#: Scheme → the pieces that invented versions are made of, and by which real ones are changed.
PIECES = {
    "deb": [*"0123456789aAzZ.+-~~:", "00", "10", "rc", "dfsg", "+b1", "-1", "~rc1", "1:", "deb11u", "é", "_"],
    "rpm": [*"0123456789aAzZ.+-~~^^:_", "00", "10", "rc", "el8", "-1", "~rc1", "^git", "1:", ".module", "é"],
    "pacman": [*"0123456789aAzZ.+-._:~", "00", "10", "rc", "beta", "arch1", "-1", "-2", ".r12.gabc", "1:", "..", "é"],
    "pypi": [
        *"0123456789.-_+!aAbBcCvV",
        *([".dev1", ".dev", ".post1", "-1", "rc1", "RC", "b2", "alpha", ".0", ".0.0", "+ab", "+1", "1!", "preview", "rev", "r", "pre", "post", "c1", "00", "10", ""]),
    ],
    "npm": [*"0123456789.-+aAzZv=", "-rc.1", "-0", ".0", ".10", "-alpha", ".beta", "+b.1", "00", " "],
    "maven": [
        *"0123456789.-.-.-_+aAbm",
        *["alpha", "beta", "rc", "cr", "RC", "snapshot", "SNAPSHOT", "final", "GA", "sp", "release", "foo", "jre", "milestone", "x", "00", "10", "-1", ".1", ".v", "-rc"],
    ],
    "golang": [*"0123456789.-+aAzZv", "-rc.1", "-0.", ".0", ".10", "+incompatible", "20191109021931-daa7c04131f5", "00"],
    "semver": [*"0123456789.-+aAzZ", "-rc.1", "-0", ".0", ".10", "-alpha", ".beta", "+b.1"],
    "gem": [*"0123456789aAbZz....-", ".0", ".0.0", ".a", ".rc1", ".beta", ".pre", "10", "00", ".A", " "],
    "composer": ["0", "1", "2", "10", *([".0", ".1", ".2", ".10"] * 2), ".x", "-dev", "-beta", "beta", "-RC1", "a1", "-p1", "patch", "pl", "stable", ".1", "@dev", "+b", "2010", "01", "-01", "v", "-", "_"],
    "nuget": ["1", "2", "10", "-", "aA", "-rc.1", "-0", ".0", "-Alpha", ".BETA", ".10", "-x.y", "a", "Z", "+b.1"],
    "jvm": ["1", "2", "10", ".1", ".0.1", ".10", "-ea", "-internal", "+8", "+35", "-LTS", "-1", "-10", "EA", "+-x"],
}  # fmt: skip
PIECES["apk"] = [
    *"0123456789.ab~",
    "_alpha",
    "_beta1",
    "_rc",
    "_p1",
    "_git2",
    "-r1",
    "-r0",
    ".0",
    ".05",
    "~abc",
    "00",
]

#: A line of ``patched_versions`` or ``unaffected_versions``.
_REQUIREMENT = re.compile(r"""^ *- *["']?((?:~>|[<>=!]=?) *[0-9][^"'#\n]*?)["']? *$""", re.MULTILINE).findall

_STARTS = {"npm": "1.2.3", "semver": "1.2.3", "golang": "v1.2.3", "nuget": "1.2.3", "jvm": "11.0.13"}


def _ecosystem(name: str) -> Iterator[str]:
    with zipfile.ZipFile(SHARED / "osv" / name / "all.zip") as records:
        for member in sorted(records.namelist()):
            if member.endswith(".json"):
                for affected in json.loads(records.read(member)).get("affected", ()):
                    yield from affected.get("versions") or ()
                    for versions in affected.get("ranges") or ():
                        if versions["type"] != "GIT":
                            for event in versions["events"]:
                                yield from event.values()


def _secdb(*files: Path) -> Iterator[str]:
    for file in files:
        for package in json.loads(file.read_bytes())["packages"] or ():
            yield from package["pkg"]["secfixes"] or ()


def _debian() -> Iterator[str]:
    for source in json.loads(gzip.decompress((SHARED / "debian" / "tracker.json.gz").read_bytes())).values():
        for cve in source.values():
            for release in cve["releases"].values():
                yield release.get("fixed_version", "")
                yield from (release.get("repositories") or {}).values()


@functools.cache
def gem_requirements() -> tuple[str, ...]:
    """Every requirement of ruby-advisory-db, sorted, each once. Its YAML is simple enough for one pattern."""
    archive = SHARED / "ruby" / "ruby-advisory-db.zip"
    if not archive.exists():
        return ()
    found: set[str] = set()
    with zipfile.ZipFile(archive) as records:
        for member in records.namelist():
            if "/gems/" in member and member.endswith(".yml"):
                found.update(_REQUIREMENT(records.read(member).decode()))
    return tuple(sorted(found))


@functools.cache
def real(scheme: str) -> tuple[str, ...]:
    """Every version of the shared advisory data, sorted, each once; empty where the data is not there."""
    if not SHARED.is_dir():
        return ()
    versions: set[str] = set()
    match scheme:
        case "deb":
            versions.update(_debian())
        case "rpm":
            versions.update(_ecosystem("AlmaLinux"))
        case "apk":
            versions.update(_secdb(SHARED / "wolfi" / "security.json", *SHARED.glob("alpine/*/*.json")))
        case "pypi" | "npm" | "maven" | "golang":
            names = {"pypi": "PyPI", "npm": "npm", "maven": "Maven", "golang": "Go"}
            versions.update(_ecosystem(names[scheme]))
        case "semver":
            versions.update(_ecosystem("crates.io"), _ecosystem("Bitnami"))
        case "composer" | "nuget":  # not theirs, but of the same shape
            versions.update(_ecosystem("crates.io"), _ecosystem("Bitnami"))
        case "gem":
            versions.update(
                version for text in gem_requirements() for version in re.findall(r"[0-9][^\s,]*", text)
            )
    return tuple(sorted(versions - {""}))


def changed(random: random.Random, version: str, pieces: list[str]) -> str:
    """``version`` with one to three small changes."""
    for _ in range(random.choice((1, 1, 2, 3))):
        at = random.randrange(len(version) + 1)
        version = version[:at] + random.choice(["", *pieces]) + version[at + random.randrange(3) :]
    return version


def invented(random: random.Random, scheme: str) -> str:
    """A version put together from the scheme's pieces."""
    start = _STARTS.get(scheme, random.choice(("", "1", "1.2", "0")))
    return start + "".join(random.choices(PIECES[scheme], k=random.randrange(1, 7)))


def pairs(scheme: str, count: int) -> list[tuple[str, str]]:
    """Every two traps in one order, then ``count`` more: near ones (a changed copy), real neighbours, invented ones."""
    draw = random.Random(f"redoubt {scheme} {count}")
    traps = TRAPS.get(scheme, [])
    found = [(b, a) if draw.random() < 0.5 else (a, b) for a, b in combinations_with_replacement(traps, 2)]
    known = real(scheme)
    for turn in range(count):
        seed = draw.choice(known) if known and turn % 2 else invented(draw, scheme)
        match turn % 6:
            case 1 | 3 if known:
                at = known.index(seed) if turn % 4 == 1 else draw.randrange(len(known))
                found.append((seed, known[min(at + draw.randrange(4), len(known) - 1)]))
            case 4:
                found.append((seed, invented(draw, scheme)))
            case _:
                found.append((seed, changed(draw, seed, PIECES[scheme])))
    return found
