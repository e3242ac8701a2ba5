"""The source about Red Hat's products: packages and container images."""

from __future__ import annotations

from redoubt.definitions.feeds.files import Limits
from redoubt.definitions.feeds.redhat import ARCHIVE, CONTAINERS, DELETIONS, REPOSITORIES, UPDATES, RedHatFeed
from redoubt.definitions.sources.interface import Download, Source

_VEX = "https://security.access.redhat.com/data/csaf/v2/vex"
_METRICS = "https://security.access.redhat.com/data/metrics"

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
    ),
)
