"""How risky an image is: what is known to be wrong in it, what is in it, how old it is. Pure.

Factors, saturations and maxima are StackRox's; which programs are useful for attackers is our own judgement.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from redoubt.central.risk.flaws import weighed
from redoubt.central.risk.scores import Result, Risk, between, listed, normalised, reasons, together
from redoubt.model.scannedimage import SEVERITY_ENDING, ScannedComponent, ScannedImage

VULNERABILITIES = "Image Vulnerabilities"
USEFUL = "Components Useful for Attackers"
COMPONENTS = "Number of Components in Image"
FRESHNESS = "Image Freshness"
#: In the order in which they are told.
NAMES = (VULNERABILITIES, USEFUL, COMPONENTS, FRESHNESS)

#: What somebody who got in would look for: shells, package managers, programs that fetch, listen, scan and log in.
PROGRAMS = frozenset(
    {
        *("apk", "apk-tools", "apt", "dnf", "microdnf", "rpm", "yum", "zypper", "pip", "npm"),
        *("bash", "busybox", "dash", "ksh", "tcsh", "zsh"),
        *("curl", "wget", "rsync", "socat", "telnet", "ftp", "tftp", "openssh", "openssh-client", "openssh-server"),
        *("netcat", "netcat-openbsd", "netcat-traditional", "nc", "ncat", "nmap", "nmap-ncat", "tcpdump", "iproute2"),
        *("gcc", "make", "gdb", "strace", "perl", "python3", "ruby"),
    }
)  # fmt: skip


def assessed(image: ScannedImage, now: datetime) -> Risk:
    """The risk of an image; 1 for one that nobody has looked at."""
    components = () if image.scan is None else image.scan.components
    name = "" if image.name is None else image.name.full_name
    created = None
    if image.metadata is not None and image.metadata.v1 is not None:
        created = image.metadata.v1.created
    return together(
        (
            _vulnerabilities(components, name),
            _useful(components, name),
            _number(components, name),
            _freshness(created, name, now),
        )
    )


def _vulnerabilities(components: Sequence[ScannedComponent], name: str) -> Result | None:
    flaws = (
        (flaw.cve, flaw.severity.removesuffix(SEVERITY_ENDING))
        for component in components
        for flaw in component.vulns
        if not flaw.suppressed and flaw.state == "OBSERVED"
    )
    return weighed(flaws, VULNERABILITIES, f"Image {name!r}")


def _useful(components: Sequence[ScannedComponent], name: str) -> Result | None:
    found = sorted({each.name.lower() for each in components} & PROGRAMS)
    if not found:
        return None
    told = f"Image {name!r} has components useful for attackers: {listed(found)}"
    return Result(name=USEFUL, factors=reasons([told]), score=normalised(len(found), 10, 1.5))


def _number(components: Sequence[ScannedComponent], name: str) -> Result | None:
    number = len({(each.source, each.name, each.version) for each in components})
    if number <= 10:
        return None
    told = f"Image {name!r} has {number} components"
    return Result(name=COMPONENTS, factors=reasons([told]), score=between(number, 10, 20, 1.5))


def _freshness(created: datetime | None, name: str, now: datetime) -> Result | None:
    # 1970 and the like stand for "not said": builds that can be repeated have no moment.
    if created is None or created.year < 2000 or (days := (now - created).days) <= 90:
        return None
    told = f"Image {name!r} is {days} days old"
    return Result(name=FRESHNESS, factors=reasons([told]), score=between(days, 90, 270, 1.5))
