"""The source about Red Hat's products: packages and container images."""

from __future__ import annotations

import csv
import re

from redoubt.definitions.feeds.files import Limits
from redoubt.definitions.feeds.redhat import ARCHIVE, CONTAINERS, DELETIONS, REPOSITORIES, UPDATES, RedHatFeed
from redoubt.definitions.sources.interface import Discovered, Download, Get, Source
from redoubt.errors import RedoubtError

_VEX = "https://security.access.redhat.com/data/csaf/v2/vex"
_METRICS = "https://security.access.redhat.com/data/metrics"

_ARCHIVE = re.compile(r"csaf_vex_(\d{4}-\d{2}-\d{2})\.tar\.zst")
_CHANGED = re.compile(r"\d{4}/(cve-\d{4}-\d{4,19}\.json)")
#: Most documents that are fetched beside the archive. Where more have changed, the archive is old.
_MAX_UPDATES = 20_000


def discover(get: Get) -> Discovered:
    """The newest archive, whose name has its day in it, and the documents that changed on that day or later."""
    downloads: list[Download] = []
    troubles: list[str] = []
    try:
        name = get(f"{_VEX}/archive_latest.txt").decode("utf-8", "replace").strip()
        found = _ARCHIVE.fullmatch(name)
        if found is None:
            return Discovered((), (f"{_VEX}/archive_latest.txt names no archive: {name[:80]!r}",))
        downloads.append(Download("redhat/csaf_vex.tar.zst", f"{_VEX}/{name}"))
        lines = get(f"{_VEX}/changes.csv").decode("utf-8", "replace").splitlines()
        changed = {row[0]: row[1] for row in csv.reader(lines) if len(row) == 2 and row[1][:10] >= found[1]}
    except (RedoubtError, csv.Error) as error:
        return Discovered(tuple(downloads), (str(error),))
    newest = sorted(changed, key=lambda path: (changed[path], path), reverse=True)
    if len(newest) > _MAX_UPDATES:
        troubles.append(
            f"{len(newest)} documents changed since {name}; the newest {_MAX_UPDATES} are fetched"
        )
    for path in newest[:_MAX_UPDATES]:
        if known := _CHANGED.fullmatch(path):
            downloads.append(Download(f"redhat/updates/{known[1]}", f"{_VEX}/{path}"))
    return Discovered(tuple(downloads), tuple(troubles))


SOURCES: tuple[Source, ...] = (
    Source(
        name="redhat",
        title="Red Hat VEX (CSAF documents of every CVE)",
        home="https://security.access.redhat.com/data/csaf/v2/vex/",
        licence="CC-BY-4.0",
        attribution="Red Hat security data, by Red Hat Product Security, https://access.redhat.com/security/data",
        feed=RedHatFeed(),
        downloads=(
            Download("redhat/changes.csv", f"{_VEX}/changes.csv"),
            Download("redhat/deletions.csv", f"{_VEX}/deletions.csv"),
            Download("redhat/repository-to-cpe.json", f"{_METRICS}/repository-to-cpe.json"),
            Download("redhat/container-name-repos-map.json", f"{_METRICS}/container-name-repos-map.json"),
        ),
        patterns=((ARCHIVE, UPDATES, "redhat/changes.csv", DELETIONS, REPOSITORIES, CONTAINERS),),
        limit=2 << 30,
        # Documents repeat themselves much; they are streamed, so that only their number costs memory.
        limits=Limits(content=128 << 30, ratio=1000),
        discover=discover,
    ),
)
