"""The sources about distributions of rpm packages that publish OVAL, or lists of their own."""

from __future__ import annotations

from collections.abc import Iterable

from redoubt.definitions.feeds.azurelinux import AzureLinuxFeed
from redoubt.definitions.feeds.oracle import OracleFeed
from redoubt.definitions.feeds.photon import PhotonFeed
from redoubt.definitions.feeds.suse import SuseFeed
from redoubt.definitions.sources.interface import Download, Source

_SUSE = "https://ftp.suse.com/pub/projects/security/oval/"
_MICROSOFT = "https://raw.githubusercontent.com/microsoft/AzureLinuxVulnerabilityData/main/"
_PHOTON = "https://packages.broadcom.com/photon/photon_cve_metadata/"

_PACKED = ("", ".gz", ".bz2", ".xz", ".zst")

#: The product lines that ``--online`` asks for; others in a mirror folder are read as well.
SUSE_LINES = (
    *(f"suse.linux.enterprise.server.{major}" for major in (12, 15, 16)),
    "suse.linux.enterprise.micro.5",
)
OPENSUSE_LINES = (
    *(f"opensuse.leap.{release}" for release in ("15.3", "15.4", "15.5", "15.6", "16.0")),
    "opensuse.tumbleweed",
)
PHOTON_RELEASES = ("1.0", "2.0", "3.0", "4.0", "5.0")


def _suse(name: str, title: str, lines: Iterable[str]) -> Source:
    return Source(
        name=name,
        title=title,
        home="https://www.suse.com/support/security/oval/",
        licence="CC-BY-4.0",
        attribution="SUSE OVAL definitions, by SUSE LLC",
        feed=SuseFeed(),
        downloads=tuple(
            Download(f"{name}/{line}-affected.xml.gz", f"{_SUSE}{line}-affected.xml.gz") for line in lines
        ),
        patterns=(tuple(f"{name}/*.xml{packed}" for packed in _PACKED),),
    )


SOURCES: tuple[Source, ...] = (
    _suse("suse", "SUSE Linux Enterprise (OVAL)", SUSE_LINES),
    _suse("opensuse", "openSUSE Leap and Tumbleweed (OVAL)", OPENSUSE_LINES),
    Source(
        name="oracle",
        title="Oracle Linux errata (OVAL)",
        home="https://linux.oracle.com/security/",
        licence="published without a licence of its own",
        attribution="Oracle Linux errata, by Oracle",
        feed=OracleFeed(),
        downloads=(
            Download(
                "oracle/com.oracle.elsa-all.xml.bz2",
                "https://linux.oracle.com/security/oval/com.oracle.elsa-all.xml.bz2",
            ),
        ),
        patterns=(
            ("oracle/com.oracle.elsa-all.xml.bz2",),
            tuple(f"oracle/com.oracle.elsa-*.xml{packed}" for packed in _PACKED),
        ),
    ),
    Source(
        name="azurelinux",
        title="Azure Linux and CBL-Mariner vulnerability data (OVAL)",
        home="https://github.com/microsoft/AzureLinuxVulnerabilityData",
        licence="MIT",
        attribution="Azure Linux vulnerability data, by Microsoft",
        feed=AzureLinuxFeed(),
        downloads=tuple(
            Download(f"azurelinux/{name}", f"{_MICROSOFT}{name}")
            for name in ("azurelinux-3.0-oval.xml", "cbl-mariner-1.0-oval.xml", "cbl-mariner-2.0-oval.xml")
        ),
        patterns=(tuple(f"azurelinux/*-oval.xml{packed}" for packed in _PACKED),),
    ),
    Source(
        name="photon",
        title="Photon OS CVE metadata",
        home="https://packages.broadcom.com/photon/photon_cve_metadata/",
        licence="published without a licence of its own",
        attribution="Photon OS CVE metadata, by Broadcom",
        feed=PhotonFeed(),
        downloads=tuple(
            Download(f"photon/cve_data_photon{release}.json", f"{_PHOTON}cve_data_photon{release}.json")
            for release in PHOTON_RELEASES
        ),
        patterns=(("photon/cve_data_photon*.json", "photon/cve_data_photon*.json.gz"),),
        limit=256 << 20,
    ),
)
