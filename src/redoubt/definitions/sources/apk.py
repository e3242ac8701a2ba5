"""The sources about distributions of apk packages."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from redoubt.definitions.feeds.cga import ChainguardNamesFeed
from redoubt.definitions.feeds.files import Limits
from redoubt.definitions.feeds.secdb import (
    SecdbFeed,
    alpine_namespace,
    alpine_page,
    chainguard_page,
    cve_page,
)
from redoubt.definitions.sources.interface import Download, Source

#: The Alpine releases that ``--online`` asks for; others in a mirror folder are read as well.
ALPINE_RELEASES = (*(f"v3.{minor}" for minor in range(10, 24)), "edge")


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


def _rolling(name: str, title: str, url: str, licence: str, who: str, page: Callable[[str], str]) -> Source:
    """A distribution without releases: one file about its newest packages."""
    path = f"{name}/security.json"
    return Source(
        name=name,
        title=title,
        home=url,
        licence=licence,
        attribution=who,
        feed=SecdbFeed(lambda _: name, page),
        downloads=(Download(path, url),),
        patterns=((path,),),
        limit=256 << 20,
    )


SOURCES: tuple[Source, ...] = (
    alpine(),
    _rolling(
        "wolfi",
        "Wolfi security feed",
        "https://packages.wolfi.dev/os/security.json",
        "CC-BY-NC-ND-4.0, or Chainguard's licence for commercial scanners",
        "Wolfi security advisories, by Chainguard",
        chainguard_page,
    ),
    _rolling(
        "chainguard",
        "Chainguard security feed",
        "https://packages.cgr.dev/chainguard/security.json",
        "Chainguard's licence for scanners; ask before you pass it on",
        "Chainguard security advisories, by Chainguard",
        chainguard_page,
    ),
    _rolling(
        "minimos",
        "MinimOS security feed",
        "https://packages.mini.dev/advisories/secdb/security.json",
        "published without a licence of its own",
        "MinimOS security advisories, by Minimus",
        cve_page,
    ),
    Source(
        name="chainguard-names",
        title="Chainguard's advisories, for the names of flaws",
        home="https://github.com/chainguard-dev/vulnerability-scanner-support",
        licence="Chainguard's licence for scanners; ask before you pass it on",
        attribution="Chainguard security advisories, by Chainguard",
        feed=ChainguardNamesFeed(),
        downloads=(
            Download(
                "chainguard-names/chainguard-osv.tar.gz",
                "https://packages.cgr.dev/chainguard/v3/osv/chainguard-osv.tar.gz",
            ),
        ),
        patterns=(("chainguard-names/chainguard-osv.tar*",),),
        # Eight hundred thousand small records, alike but for their names.
        limits=Limits(content=16 << 30, ratio=1000, members=4_000_000),
    ),
)
