"""The sources that speak of CVEs wherever they occur: scores, and what is exploited."""

from __future__ import annotations

from redoubt.definitions.feeds.epss import EpssFeed
from redoubt.definitions.feeds.kev import KevFeed
from redoubt.definitions.sources.interface import Download, Source

SOURCES: tuple[Source, ...] = (
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
