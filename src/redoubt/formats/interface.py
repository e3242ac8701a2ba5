"""What a format is: a report and a few wishes in, bytes out.

A format is pure. It must not look anything up, read the clock or the environment, or let through what a
report's texts could do to a terminal, a browser or a parser: every text in a report may be hostile.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from redoubt.model import IndexReport, VulnerabilityReport


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What the reader's place and time add to a report. Formats for machines ignore them.

    ``color``: ANSI colours. ``width``: columns to fit into; None: as wide as it takes. ``age``: how old
    the definitions are, in words; ``stale``: that this is too old. ``notices``: lines that the reader
    must see. ``show_suppressed``: list the findings that do not count too, where that takes a wish.
    """

    color: bool = False
    width: int | None = None
    age: str = ""
    stale: bool = False
    notices: tuple[str, ...] = ()
    show_suppressed: bool = False


#: Formats that have no form for an index report, with what to do instead.
NO_INDEX = {
    "sarif": "SARIF holds findings and an index has none; use spdx or cyclonedx, or scan the image",
    "junit": "JUnit holds findings and an index has none; use csv or json, or scan the image",
    "openvex": "OpenVEX speaks of findings and an index has none; scan the image",
    "gitlab": "GitLab's report holds findings and an index has none; use cyclonedx, or scan the image",
}

#: The same for a vulnerability report.
NO_FINDINGS = {
    "github": "GitHub's snapshot lists all packages and a report only those with findings;"
    " use `redoubt index -o github`, or sarif for the findings",
}


class Format(Protocol):
    """One way out. A module with these two functions is one."""

    def vulnerabilities(self, report: VulnerabilityReport, options: Options) -> bytes:
        """A vulnerability report."""

    def index(self, report: IndexReport, options: Options) -> bytes:
        """An index report."""
