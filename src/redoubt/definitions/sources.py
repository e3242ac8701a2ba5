"""The one registry of sources: what each is called, who gives it, where it lies, and which feed reads it.

A source that is not here does not exist: building, fetching, documents and tests all walk ``SOURCES``.
Knows nothing of how files are fetched, kept or turned into records.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from redoubt.definitions.feeds.almalinux import AlmaLinuxFeed
from redoubt.definitions.feeds.debian import DebianFeed
from redoubt.definitions.feeds.epss import EpssFeed
from redoubt.definitions.feeds.interface import Feed
from redoubt.definitions.feeds.kev import KevFeed
from redoubt.definitions.feeds.osv import OsvFeed, go_page, rust_page
from redoubt.definitions.feeds.secdb import SecdbFeed, alpine_namespace, alpine_page, wolfi_page
from redoubt.errors import UsageError

_OSV = "https://osv-vulnerabilities.storage.googleapis.com"

#: The Alpine releases that ``--online`` asks for; others in a mirror folder are read as well.
ALPINE_RELEASES = (*(f"v3.{minor}" for minor in range(10, 24)), "edge")


class Download(NamedTuple):
    """A file of a source: where it lies in a mirror folder, and where it comes from."""

    path: str
    url: str


class Source(NamedTuple):
    """One upstream.

    ``name`` is what people type and what ``Advisory.source`` says. ``home`` is a page for people, and
    ``attribution`` the line that its licence asks for. ``downloads`` are what ``--online`` fetches, each at
    most ``limit`` bytes. ``patterns`` say where its files lie in a mirror folder: groups of globs, of which
    the first group that finds anything is read.
    """

    name: str
    title: str
    home: str
    licence: str
    attribution: str
    feed: Feed
    downloads: tuple[Download, ...]
    patterns: tuple[tuple[str, ...], ...]
    limit: int = 1 << 30


def _osv(name: str, ecosystem: str, feed: Feed, title: str, home: str, licence: str, who: str) -> Source:
    path = f"osv/{ecosystem}/all.zip"
    return Source(
        name=name,
        title=title,
        home=home,
        licence=licence,
        attribution=who,
        feed=feed,
        downloads=(Download(path, f"{_OSV}/{ecosystem}/all.zip"),),
        patterns=((path,),),
    )


def alpine(releases: Iterable[str] = ALPINE_RELEASES) -> Source:
    """The Alpine source, fetching the releases named (``v3.20``, ``edge``)."""
    return Source(
        name="alpine",
        title="Alpine Linux security database",
        home="https://secdb.alpinelinux.org/",
        licence="published without a licence of its own",
        attribution="Alpine Linux security database, by the Alpine Linux developers",
        feed=SecdbFeed(alpine_namespace, alpine_page),
        downloads=tuple(
            Download(
                f"alpine/{release}/{repository}.json",
                f"https://secdb.alpinelinux.org/{release}/{repository}.json",
            )
            for release in releases
            for repository in ("main", "community")
        ),
        patterns=(("alpine/*/main.json", "alpine/*/community.json"),),
        limit=64 << 20,
    )


SOURCES: tuple[Source, ...] = (
    _osv(
        "osv-pypi",
        "PyPI",
        OsvFeed("PyPI", "pypi"),
        "Python packages (PyPA advisory database and others, through OSV)",
        "https://github.com/pypa/advisory-database",
        "CC-BY-4.0",
        "Python Packaging Advisory Database, by the Python Packaging Authority; GitHub Advisory Database",
    ),
    _osv(
        "osv-go",
        "Go",
        OsvFeed("Go", "golang", go_page),
        "Go modules, standard library and toolchain (Go vulnerability database, through OSV)",
        "https://vuln.go.dev/",
        "CC-BY-4.0",
        "Go Vulnerability Database, by the Go authors; GitHub Advisory Database",
    ),
    _osv(
        "osv-crates.io",
        "crates.io",
        OsvFeed("crates.io", "crates.io", rust_page),
        "Rust crates (RustSec advisory database and others, through OSV)",
        "https://rustsec.org/",
        "CC0-1.0; records imported from GitHub CC-BY-4.0",
        "RustSec Advisory Database, by the Rust Secure Code Working Group; GitHub Advisory Database",
    ),
    _osv(
        "osv-npm",
        "npm",
        OsvFeed("npm", "npm"),
        "npm packages (GitHub advisory database and others, through OSV)",
        "https://github.com/github/advisory-database",
        "CC-BY-4.0",
        "GitHub Advisory Database, by GitHub; OpenSSF malicious packages",
    ),
    _osv(
        "osv-maven",
        "Maven",
        OsvFeed("Maven", "maven"),
        "Maven packages (GitHub advisory database and others, through OSV)",
        "https://github.com/github/advisory-database",
        "CC-BY-4.0",
        "GitHub Advisory Database, by GitHub",
    ),
    _osv(
        "osv-almalinux",
        "AlmaLinux",
        AlmaLinuxFeed(),
        "AlmaLinux errata (through OSV)",
        "https://errata.almalinux.org/",
        "MIT",
        "AlmaLinux OSV database, by the AlmaLinux OS Foundation",
    ),
    _osv(
        "osv-bitnami",
        "Bitnami",
        OsvFeed("Bitnami", "bitnami"),
        "Bitnami application images (Bitnami vulnerability database, through OSV)",
        "https://github.com/bitnami/vulndb",
        "Apache-2.0",
        "Bitnami Vulnerability Database, by Broadcom",
    ),
    Source(
        name="debian",
        title="Debian security tracker",
        home="https://security-tracker.debian.org/",
        licence="published without a licence of its own",
        attribution="Debian security tracker, by the Debian security team",
        feed=DebianFeed(),
        downloads=(Download("debian/tracker.json", "https://security-tracker.debian.org/tracker/data/json"),),
        patterns=(
            ("debian/tracker.json",),
            ("debian/tracker.json.gz",),
            ("debian/json", "debian/json.gz"),
        ),
    ),
    alpine(),
    Source(
        name="wolfi",
        title="Wolfi security feed",
        home="https://packages.wolfi.dev/os/security.json",
        licence="CC-BY-NC-ND-4.0, or Chainguard's licence for commercial scanners",
        attribution="Wolfi security advisories, by Chainguard",
        feed=SecdbFeed(lambda _: "wolfi", wolfi_page),
        downloads=(Download("wolfi/security.json", "https://packages.wolfi.dev/os/security.json"),),
        patterns=(("wolfi/security.json",),),
        limit=256 << 20,
    ),
    Source(
        name="kev",
        title="CISA known exploited vulnerabilities",
        home="https://www.cisa.gov/known-exploited-vulnerabilities-catalog",
        licence="CC0-1.0",
        attribution="Known Exploited Vulnerabilities Catalog, by the US agency CISA",
        feed=KevFeed(),
        downloads=(
            Download(
                "kev/known_exploited_vulnerabilities.json",
                "https://www.cisa.gov/sites/default/files/feeds/known_exploited_vulnerabilities.json",
            ),
        ),
        patterns=(("kev/known_exploited_vulnerabilities.json",),),
        limit=64 << 20,
    ),
    Source(
        name="epss",
        title="Exploit Prediction Scoring System",
        home="https://www.first.org/epss/",
        licence="free to use with attribution",
        attribution="EPSS scores, by FIRST.org, https://www.first.org/epss",
        feed=EpssFeed(),
        downloads=(
            Download(
                "epss/epss_scores-current.csv.gz",
                "https://epss.empiricalsecurity.com/epss_scores-current.csv.gz",
            ),
        ),
        patterns=(("epss/epss_scores-current.csv.gz",), ("epss/epss_scores-current.csv",)),
        limit=64 << 20,
    ),
)


def select(names: Iterable[str] | None) -> tuple[Source, ...]:
    """The sources of those names, in the registry's order; all where ``names`` is None.

    Raises ``UsageError`` for a name that is none.
    """
    if names is None:
        return SOURCES
    wanted = set(names)
    unknown = wanted - {source.name for source in SOURCES}
    if unknown:
        known = " ".join(source.name for source in SOURCES)
        raise UsageError(f"no such source: {', '.join(sorted(unknown))}; there are {known}")
    if not wanted:
        raise UsageError("no source was named")
    return tuple(source for source in SOURCES if source.name in wanted)
