"""Every updater of ClairCore's and StackRox's that is known: what it is called, and how it is read.

An updater that is not here is counted and said, and nothing else of the bundle suffers from it.
"""

from __future__ import annotations

import re

from redoubt.definitions.stackrox.distributions import Alpine, Debian, Rpm, Ubuntu
from redoubt.definitions.stackrox.ecosystems import Osv
from redoubt.definitions.stackrox.enrichments import EpssScores, KevEntries, NvdScores, RedHatAdvisories
from redoubt.definitions.stackrox.interface import Enrichments, Kind, Vulnerabilities
from redoubt.definitions.stackrox.redhat import RedHat

#: Not an updater: the two maps that lie beside the definitions.
MAPS = "redhat-repository-mappings"

_NO_LICENCE = "published without a licence of its own"
_UPSTREAM = "as its upstream publishes it"


def _kind(
    source: str,
    title: str,
    home: str,
    licence: str,
    updaters: str,
    vulnerabilities: Vulnerabilities | None = None,
    enrichments: Enrichments | None = None,
) -> Kind:
    pattern = re.compile(updaters, re.ASCII)
    return Kind(
        source, f"{title}, from StackRox's bundle", home, licence, pattern, vulnerabilities, enrichments
    )


def _osv(source: str, ecosystem: str, licence: str = "CC-BY-4.0") -> Kind:
    home = "https://osv.dev/"
    return _kind(source, f"OSV {ecosystem}", home, licence, f"osv/{re.escape(ecosystem)}", Osv())


KINDS: tuple[Kind, ...] = (
    _kind(
        "alpine",
        "Alpine Linux security database",
        "https://secdb.alpinelinux.org/",
        _NO_LICENCE,
        r"alpine-.{1,80}-updater",
        Alpine(),
    ),
    _kind(
        "amazon",
        "Amazon Linux security advisories",
        "https://alas.aws.amazon.com/",
        _NO_LICENCE,
        r"aws-.{1,80}-updater",
        Rpm(("amzn",), r"ALAS[A-Z0-9-]{0,40}-\d{4}-\d{1,9}"),
    ),
    _kind(
        "debian",
        "Debian security tracker",
        "https://security-tracker.debian.org/tracker/",
        _NO_LICENCE,
        r"debian/updater(?:/.{1,80})?",
        Debian(),
    ),
    _kind(
        "oracle",
        "Oracle Linux errata (OVAL)",
        "https://linux.oracle.com/security/oval/",
        _NO_LICENCE,
        r"oracle-.{1,80}-updater",
        Rpm(("ol",), r"EL[SBE]A-\d{4}-\d{1,9}(?:-\d{1,3})?"),
    ),
    _kind(
        "photon",
        "Photon OS security advisories (OVAL)",
        "https://packages.vmware.com/photon/photon_oval_definitions/",
        _NO_LICENCE,
        r"photon-updater-.{1,80}",
        Rpm(("photon",), r"PHSA-\d{4}[-:][A-Za-z0-9.:-]{1,40}"),
    ),
    _kind(
        "opensuse",
        "openSUSE Leap (OVAL)",
        "https://www.suse.com/support/security/oval/",
        "CC-BY-4.0",
        r"suse-updater-opensuse.{1,120}",
        Rpm(("opensuse-leap",)),
    ),
    _kind(
        "suse",
        "SUSE Linux Enterprise (OVAL)",
        "https://www.suse.com/support/security/oval/",
        "CC-BY-4.0",
        r"suse-updater-.{1,120}",
        Rpm(("sles",)),
    ),
    _kind(
        "ubuntu",
        "Ubuntu OVAL",
        "https://ubuntu.com/security/oval",
        _UPSTREAM,
        r"ubuntu/updater/.{1,80}",
        Ubuntu(),
    ),
    _osv("osv-crates.io", "crates.io"),
    _osv("osv-go", "go"),
    _osv("osv-hex", "hex"),
    _osv("osv-maven", "maven"),
    _osv("osv-npm", "npm"),
    _osv("osv-pub", "pub"),
    _osv("osv-pypi", "pypi"),
    _osv("osv-rubygems", "rubygems"),
    _kind("osv", "OSV, other ecosystems", "https://osv.dev/", _UPSTREAM, r"osv/.{1,80}", Osv()),
    _kind(
        "stackrox-manual",
        "StackRox's own additions",
        "https://github.com/stackrox/stackrox",
        "Apache-2.0",
        r"stackrox-manual",
        Osv(),
    ),
    _kind(
        "epss",
        "Exploit Prediction Scoring System",
        "https://www.first.org/epss/",
        "free to use with attribution",
        r"clair\.epss",
        enrichments=EpssScores(),
    ),
    _kind(
        "kev",
        "CISA known exploited vulnerabilities",
        "https://www.cisa.gov/known-exploited-vulnerabilities-catalog",
        "CC0-1.0",
        r"clair\.kev",
        enrichments=KevEntries(),
    ),
    _kind(
        "nvd",
        "National Vulnerability Database, scores",
        "https://nvd.nist.gov/",
        "public domain",
        r"nvd",
        enrichments=NvdScores(),
    ),
    _kind(
        "redhat",
        "Red Hat security data (VEX)",
        "https://security.access.redhat.com/data/csaf/v2/vex/",
        "CC-BY-4.0",
        r"rhel-vex",
        RedHat(),
    ),
    _kind(
        "redhat-maps",
        "Red Hat's repositories and containers",
        "https://security.access.redhat.com/data/metrics/",
        "CC-BY-4.0",
        MAPS,
    ),
    _kind(
        "redhat-csaf",
        "Red Hat security advisories (CSAF)",
        "https://security.access.redhat.com/data/csaf/v2/advisories/",
        "CC-BY-4.0",
        r"stackrox\.rhel-csaf",
        enrichments=RedHatAdvisories(),
    ),
)


def of_updater(name: str) -> Kind | None:
    """The kind of an updater, None where it is not known."""
    return next((kind for kind in KINDS if kind.updaters.fullmatch(name)), None)
