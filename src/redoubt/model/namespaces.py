"""Where a name means something: namespaces, their version schemes, and the form names are looked up in.

The feeds write with these rules and the matcher reads with them, so they live in one place.
"""

from __future__ import annotations

import re
from functools import lru_cache

from redoubt.model.package import Distribution, Package

#: Ecosystem (the part of a namespace before ``:``) → version scheme.
SCHEMES = {
    "debian": "deb",
    "ubuntu": "deb",
    "alpine": "apk",
    "wolfi": "apk",
    "chainguard": "apk",
    "minimos": "apk",
    "almalinux": "rpm",
    "rocky": "rpm",
    "redhat": "rpm",
    "rhcc": "rpm",
    "oracle": "rpm",
    "amazon": "rpm",
    "sles": "rpm",
    "sle-micro": "rpm",
    "opensuse-leap": "rpm",
    "opensuse-tumbleweed": "rpm",
    "photon": "rpm",
    "azurelinux": "rpm",
    "mariner": "rpm",
    "fedora": "rpm",
    "bottlerocket": "rpm",
    "arch": "pacman",
    "pypi": "pypi",
    "npm": "npm",
    "maven": "maven",
    "golang": "golang",
    "crates.io": "semver",
    "rubygems": "gem",
    "packagist": "composer",
    "nuget": "nuget",
    "hex": "semver",
    "pub": "pub",
    "swift": "semver",
    "julia": "julia",
    "bitnami": "semver",
}

#: purl type → namespace, for packages whose names mean the same on every system.
LANGUAGES = {
    "pypi": "pypi",
    "npm": "npm",
    "maven": "maven",
    "golang": "golang",
    "cargo": "crates.io",
    "gem": "rubygems",
    "composer": "packagist",
    "nuget": "nuget",
    "hex": "hex",
    "pub": "pub",
    "swift": "swift",
    "julia": "julia",
    "bitnami": "bitnami",
    "generic": "bitnami",  # applications by their names, which that data has in common with SBOM tools
    "oci": "rhcc",
}

#: Types whose names mean something only within a distribution → the scheme of their versions.
OPERATING_SYSTEM_TYPES = {"deb": "deb", "rpm": "rpm", "apk": "apk", "alpm": "pacman"}

#: Distributions whose definitions name the flaws without a fix too, so that silence about a flaw means that
#: the distribution's package does not have it. All others here list what they repaired, and nothing else
#: (``docs/sources.md`` says of each why).
COMPREHENSIVE = frozenset({"debian", "ubuntu", "redhat", "rhcc", "azurelinux", "mariner"})

#: Distributions that build another's packages anew → that one's source, which rates each CVE on its own. The flaw
#: is as bad in theirs.
_REBUILT = {"almalinux": "redhat", "rocky": "redhat", "oracle": "redhat"}

#: Distributions whose definitions speak of source packages. Those of the other rpm distributions speak of what
#: is installed.
BY_SOURCE = frozenset(
    {
        "debian",
        "ubuntu",
        "alpine",
        "wolfi",
        "chainguard",
        "minimos",
        "azurelinux",
        "mariner",
        "photon",
        "fedora",
    }
)

#: Of these, some definitions speak of what is installed instead (``binary``).
_BY_BOTH = frozenset({"ubuntu", "photon"})
#: Distributions whose definitions speak of packages of certain products only, which repositories belong to.
_BY_PRODUCT = frozenset({"redhat", "rhcc"})

#: Of these the sources' versions are compared without an epoch: what installs names it, the definitions do not.
_WITHOUT_EPOCH = frozenset({"azurelinux", "mariner", "photon"})
#: And of these with one, which no installed package knows of its source: its own is taken, nearly always the same.
_WITH_EPOCH = frozenset({"fedora"})

#: Of these each minor release gets a notice of its own, and builds name it: ``.el9_4``.
_NOTICES_OF_MINORS = frozenset({"almalinux", "rocky", "oracle"})
#: Of these some fixes are for subscribers, and builds name that: ``~esm1``.
_CHANNELS = frozenset({"ubuntu"})

#: Types whose packages are linked into programs. Debian and Ubuntu speak of a Go or Rust library's own package, not of
#: the programs that were built with it and not built anew since (Debian's release notes, "Go- and Rust-based
#: packages"): their silence about a program says nothing of what is linked into it.
LINKED_TYPES = frozenset({"golang", "cargo"})
_SILENT_ABOUT_LINKED = frozenset({"debian", "ubuntu"})

#: Debian's release names: the tracker writes these, images write numbers.
DEBIAN_RELEASES = {
    "wheezy": "7",
    "jessie": "8",
    "stretch": "9",
    "buster": "10",
    "bullseye": "11",
    "bookworm": "12",
    "trixie": "13",
    "forky": "14",
    "duke": "15",
}

_PEP503 = re.compile(r"[-_.]+")
_EPOCH = re.compile(r"^\d+:")
_FLAVOUR = re.compile(r"(_fips(?![a-z]))|(?:^|\.)ksplice", re.IGNORECASE)
_UEK = "kernel-uek"
_UEK_LINE = re.compile(r"(?:\d+:)?(\d{1,4}\.\d{1,4})(?=[.-])")


def scheme(namespace: str) -> str:
    """The version scheme of a namespace: ``scheme("debian:12") == "deb"``. ``KeyError`` if unknown."""
    return SCHEMES[namespace.partition(":")[0]]


def normalize(namespace: str, name: str) -> str:
    """The form of a package name that is stored and looked up.

    PyPI folds case and runs of ``-_.`` (PEP 503). NuGet, Packagist, Hex and Pub fold case. Swift packages
    are named by the place they are fetched from: without scheme, user, ``.git`` and case. npm and Bitnami
    fold nothing but are lower-case by their own rules; the others are compared as written.
    """
    match namespace:
        case "pypi":
            return _PEP503.sub("-", name).lower()
        case "nuget" | "packagist" | "hex" | "pub":
            return name.lower()
        case "swift":
            return _swift(name)
    return name


def _swift(name: str) -> str:
    """``https://GitHub.com/apple/swift-nio.git`` and ``git@github.com:apple/swift-nio`` are one package."""
    scheme, _, place = name.strip().lower().rpartition("://")
    user = place.partition("/")[0].rfind("@") + 1
    if user and not scheme:
        place = place.replace(":", "/", 1)
    place = place[user:]
    return place.rstrip("/").removesuffix(".git")


def subject(namespace: str, package: Package) -> tuple[str, str]:
    """What definitions of a namespace speak of when they speak of a package: a name, as looked up, and a version."""
    name, version = package.name, package.version
    ecosystem = namespace.partition(":")[0]
    if ecosystem in BY_SOURCE:
        name, version = package.source_name or name, package.source_version or version
        if ecosystem in _WITHOUT_EPOCH:
            version = _EPOCH.sub("", version)
        elif ecosystem in _WITH_EPOCH and package.source_version and (epoch := _EPOCH.match(package.version)):
            version = epoch[0] + version
    return flavoured(namespace, normalize(namespace, name), version), version


def flavoured(namespace: str, name: str, version: str) -> str:
    """The name under which versions of one flavour are kept apart from the others': ``openssl:ksplice``.

    Oracle builds some packages three times, and a fix of one flavour says nothing of another, whose versions are
    higher or lower for other reasons. The flavour stands in the release: ``….ksplice1.el8_3``, ``…_fips``. Its own
    kernel, UEK, comes in several lines for one release (5.4, 5.15), each with errata of its own: ``kernel-uek:5.15``.
    Everywhere else, and for the common builds, it is ``name`` itself.
    """
    if not namespace.startswith("oracle:"):
        return name
    if found := _FLAVOUR.search(version.rpartition("-")[2]):
        return f"{name}:{'fips' if found[1] else 'ksplice'}"
    if name.startswith(_UEK) and (line := _UEK_LINE.match(version)):
        return f"{name}:{line[1]}"
    return name


def binary(name: str) -> str:
    """The name under which a record stands that speaks of a package as it is installed, in a namespace whose other
    records speak of sources: ``libssl3:binary``. No package has a colon in its name.
    """
    return f"{name}:binary"


def any_service_pack(namespace: str) -> str:
    """The namespace of records that do not say which service pack they are about: ``sles:15.*`` of
    ``sles:15.5``; empty where a distribution has none.
    """
    ecosystem, _, version = namespace.partition(":")
    return f"{ecosystem}:{_major(version)}.*" if ecosystem == "sles" else ""


def is_comprehensive(namespace: str) -> bool:
    """Whether definitions for a distribution's namespace speak of unfixed flaws as well as fixed ones."""
    return namespace.partition(":")[0] in COMPREHENSIVE


def rebuilt_from(namespace: str) -> str:
    """The source that speaks for the distribution whose packages another one builds anew; empty where that is none."""
    return _REBUILT.get(namespace.partition(":")[0], "")


def has_notices_of_minors(namespace: str) -> bool:
    """Whether records are notices, of which each minor release has its own, and builds name theirs."""
    return namespace.partition(":")[0] in _NOTICES_OF_MINORS


def has_channels(namespace: str) -> bool:
    """Whether builds that only subscribers have are known by their versions."""
    return namespace.partition(":")[0] in _CHANNELS


@lru_cache(1024)
def is_of_products(namespace: str) -> bool:
    """Whether records of a namespace hold for packages of certain products only (``redhat:9``, ``rhcc``)."""
    return namespace.partition(":")[0] in _BY_PRODUCT


@lru_cache(1024)
def may_name_installed(namespace: str) -> bool:
    """Whether some definitions name what is installed (``binary``) where others name its source."""
    return namespace.partition(":")[0] in _BY_BOTH


def speaks_of(namespace: str, package_type: str) -> bool:
    """Whether silence of a distribution's definitions about one of its packages holds for a language package in it.

    ``package_type`` is the language package's.
    """
    if package_type in LINKED_TYPES and namespace.partition(":")[0] in _SILENT_ABOUT_LINKED:
        return False
    return is_comprehensive(namespace)


def of_distribution(distribution: Distribution) -> str | None:
    """The namespace of a distribution's packages, or None where it is not one that is supported.

    A supported distribution without a usable version gives a namespace that no definitions hold
    (``debian:unknown``), so that the answer is "no data" and not a guess.
    """
    version = distribution.version_id
    match distribution.id:
        case "debian":
            number = version.partition(".")[0] or DEBIAN_RELEASES.get(distribution.codename, "unknown")
            return f"debian:{number}"
        case "alpine":
            parts = version.split(".")
            if "_alpha" in version or "edge" in version:
                return "alpine:edge"
            if len(parts) < 2 or not all(part.isdigit() for part in parts[:2]):
                return "alpine:unknown"
            return f"alpine:v{parts[0]}.{parts[1]}"
        case "ubuntu" | "opensuse-leap":
            return f"{distribution.id}:{version or 'unknown'}"
        case "opensuse":  # Leap, up to 42.3
            return f"opensuse-leap:{version or 'unknown'}"
        case "photon" | "azurelinux" | "mariner":  # Microsoft adds the day at times: 3.0.20240824
            return f"{distribution.id}:{'.'.join(version.split('.')[:2]) or 'unknown'}"
        case "almalinux" | "rocky" | "fedora":
            return f"{distribution.id}:{_major(version)}"
        case "rhel" | "centos":
            return f"redhat:{_major(version)}"
        case "ol":
            return f"oracle:{_major(version)}"
        case "amzn":
            return f"amazon:{'1' if version.startswith('201') else _major(version)}"
        case "sles" | "sled" | "sles_sap" | "sle_hpc":  # one stream of packages, sold under several names
            return f"sles:{version or 'unknown'}"
        case "sle-micro" | "sl-micro" | "sle-micro-rancher":
            return f"sle-micro:{version or 'unknown'}"
        case "opensuse-tumbleweed" | "opensuse-microos":  # MicroOS is made of Tumbleweed's packages
            return "opensuse-tumbleweed"
        case "wolfi" | "chainguard" | "minimos" | "bottlerocket" | "arch":
            return distribution.id
    return None


def lifecycle(distribution: Distribution) -> str | None:
    """What a distribution's release is called where its end of life is kept; None as ``of_distribution``.

    The namespace, but for CentOS: it has Red Hat's data and days of its own.
    """
    if distribution.id != "centos":
        return of_distribution(distribution)
    stream = "-stream" if "Stream" in distribution.name else ""
    return f"centos{stream}:{_major(distribution.version_id)}"


def _major(version: str) -> str:
    return version.partition(".")[0] or "unknown"


def of_package(package: Package, distribution: Distribution | None) -> str | None:
    """The namespace in which a package's name is looked up, or None where nothing here supports it."""
    if package.type in OPERATING_SYSTEM_TYPES:
        return of_distribution(distribution) if distribution else None
    return LANGUAGES.get(package.type)
