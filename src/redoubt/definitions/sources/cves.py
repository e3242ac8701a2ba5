"""The sources that make no finding: scores of CVEs, what is exploited, and until when systems are looked after."""

from __future__ import annotations

from collections.abc import Iterable

from redoubt.definitions.feeds.endoflife import EndOfLifeFeed
from redoubt.definitions.feeds.epss import EpssFeed
from redoubt.definitions.feeds.kev import KevFeed
from redoubt.definitions.feeds.nvd import NvdFeed
from redoubt.definitions.sources.interface import Download, Source

#: The years that ``--online`` asks for; the first holds all before it. Others in a mirror folder are read.
NVD_YEARS = range(2002, 2027)


def nvd(years: Iterable[int] = NVD_YEARS) -> Source:
    """NVD's scores, fetching the years named."""
    return Source(
        name="nvd",
        title="National Vulnerability Database: scores",
        home="https://nvd.nist.gov/",
        licence="public domain",
        attribution="National Vulnerability Database, by the US agency NIST, which neither endorses nor certifies this",
        feed=NvdFeed(),
        downloads=tuple(
            Download(
                f"nvd/nvdcve-2.0-{year}.json.gz",
                f"https://nvd.nist.gov/feeds/json/cve/2.0/nvdcve-2.0-{year}.json.gz",
            )
            for year in years
        ),
        patterns=(
            ("nvd/nvdcve-2.0-[12]*.json.gz", "nvd/nvdcve-2.0-[12]*.json"),
            ("nvd/*.json", "nvd/*.json.gz"),
        ),
        limit=512 << 20,
    )


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
    nvd(),
    Source(
        name="endoflife",
        title="endoflife.date: distributions' support",
        home="https://endoflife.date/",
        licence="MIT",
        attribution="endoflife.date, by its contributors",
        feed=EndOfLifeFeed(),
        downloads=(Download("endoflife/products.json", "https://endoflife.date/api/v1/products/full"),),
        patterns=(("endoflife/products.json",), ("endoflife/products.json.gz",)),
        limit=64 << 20,
    ),
)
