"""Images and definitions for the fleet's tests: small, and of every kind that is judged otherwise than others."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable
from pathlib import Path

from redoubt import versions
from redoubt.definitions import records
from redoubt.definitions.snapshot import Snapshot, create
from redoubt.model import (
    Advisory,
    AffectedRange,
    CveRecord,
    Distribution,
    Epss,
    Image,
    IndexReport,
    KnownExploited,
    Location,
    Mapped,
    Package,
    RangeFlag,
    Severity,
    SourceInfo,
    namespaces,
)

DEBIAN = Distribution(
    id="debian", version_id="11", codename="bullseye", name="Debian GNU/Linux 11 (bullseye)"
)
ALMA = Distribution(id="almalinux", version_id="9.3", name="AlmaLinux 9.3")
RHEL = Distribution(id="rhel", version_id="9.4", name="Red Hat Enterprise Linux 9.4")
_EGG = Location("usr/lib/python3/dist-packages/requests.egg-info", "", "deb/python3-requests")
_TEAM = "Some Team <team@tracker.debian.org>"


def image(name: str, packages: Iterable[Package], distribution: Distribution | None) -> IndexReport:
    """An index report, with a digest of its name's."""
    digest = f"sha256:{hashlib.sha256(name.encode()).hexdigest()}"
    return IndexReport(
        image=Image(reference=name, kind="registry", digest=digest),
        distribution=distribution,
        packages=tuple(packages),
    )


IMAGES = [
    image(
        "owned",
        [
            Package(type="deb", name="python3-requests", version="2-1", source_name="requests", vendor=_TEAM),
            Package(type="pypi", name="requests", version="2", locations=(_EGG,)),
        ],
        DEBIAN,
    ),
    image(
        "partly owned, by one of no known maker",
        [
            Package(type="deb", name="python3-requests", version="2-1", source_name="requests"),
            Package(type="pypi", name="requests", version="2", locations=(_EGG, Location("srv/requests"))),
        ],
        DEBIAN,
    ),
    image(
        "kernel headers",
        [
            Package(type="deb", name="linux-libc-dev", version="5-1", source_name="linux"),
            Package(type="deb", name="linux-image-5", version="5-1", source_name="linux"),
        ],
        DEBIAN,
    ),
    image(
        "what cannot be judged",
        [
            Package(type="deb", name="docker-ce", version="1", vendor="Docker <support@docker.com>"),
            Package(type="deb", name="broken", version="not a version"),
            Package(type="maven", name="nameless", version="1"),
            Package(type="golang", name="example.org/a", version=""),
        ],
        DEBIAN,
    ),
    image(
        "products",
        [
            Package(type="rpm", name="libfix", version="1-1.el9", repositories=("a-repository",)),
            Package(type="rpm", name="other", version="1-1.el9"),
            Package(type="rpm", name="placed", version="1-1.el9", repositories=("known-rpms",)),
        ],
        RHEL,
    ),
    image("no data", [Package(type="rpm", name="libfix", version="1-1.el9")], ALMA),
    image("no system", [Package(type="deb", name="requests", version="1")], None),
    image("nothing", [], None),
]


class Definitions:
    """Definitions that a test writes down, and a snapshot on disk that holds them."""

    def __init__(self) -> None:
        self._advisories: dict[str, Advisory] = {}
        self._affected: dict[tuple[str, str, str], tuple[AffectedRange, ...]] = {}
        self.cves: dict[str, CveRecord] = {}
        self.scores: dict[str, Epss] = {}
        self.mapped: dict[str, tuple[str, ...]] = {}
        self.ends: dict[str, str] = {}

    @classmethod
    def plain(cls) -> Definitions:
        """Something about every image of ``IMAGES``."""
        made = cls()
        made.affects("CVE-2099-0001", "osv", "pypi", "requests", "3", severity=Severity.HIGH)
        made.affects("CVE-2099-0006", "osv", "pypi", "requests", "4")
        made.affects("GHSA-aaaa", "osv", "pypi", "requests", "5", aliases=("CVE-2099-0007",))
        made.affects("CVE-2099-0002", "debian", "debian:11", "requests", "2-9", severity=Severity.LOW)
        for number in range(8, 12):
            made.affects(
                f"CVE-2099-{number:04}", "debian", "debian:11", "linux", "6-1", severity=Severity.MEDIUM
            )
        made.affects("CVE-2099-0003", "debian", "debian:11", "broken", "9")
        cpe = "cpe:/o:redhat:enterprise_linux:9"
        for name in ("libfix", "placed"):
            made.affects("CVE-2099-0004", "redhat", "redhat:9", name, "1-2.el9", repository=cpe)
        made.mapped = {"known-rpms": (f"{cpe}::baseos",)}
        made.scores = {
            "CVE-2099-0001": Epss(0.1, 0.2, "2099-01-02"),
            "CVE-2099-0006": Epss(0.9, 0.95, "2099-01-02"),
            "CVE-2099-0007": Epss(0.123456789, 0.3, "2099-01-02"),
        }
        made.cves = {"CVE-2099-0006": CveRecord(kev=KnownExploited("2099-01-01"))}
        made.ends = {"debian:11": "2098-01-01"}
        return made

    @classmethod
    def some(cls, chance: random.Random) -> Definitions:
        """Anything about ``p0`` to ``p8`` of PyPI."""
        made = cls()
        made.affects("CVE-2099-0000", "osv", "pypi", "other", "2")
        for number in range(1, 13):
            if chance.random() < 0.7:
                fix, aliases = str(chance.randrange(1, 6)), (f"CVE-2099-{number:04}",)
                name = aliases[0] if chance.random() < 0.7 else f"GHSA-{number}"
                severity = chance.choice(list(Severity))
                for package in chance.sample(range(9), chance.randrange(1, 4)):
                    more = () if name in aliases else aliases
                    made.affects(name, "osv", "pypi", f"p{package}", fix, severity=severity, aliases=more)
            if chance.random() < 0.5:
                made.scores[f"CVE-2099-{number:04}"] = Epss(chance.random(), chance.random(), "2099-01-02")
            if chance.random() < 0.2:
                made.cves[f"CVE-2099-{number:04}"] = CveRecord(kev=KnownExploited("2099-01-01"))
        return made

    def affects(
        self,
        identifier: str,
        source: str,
        namespace: str,
        name: str,
        fix: str,
        *,
        severity: Severity = Severity.UNKNOWN,
        aliases: tuple[str, ...] = (),
        repository: str = "",
    ) -> None:
        """Every version of a package before ``fix`` has the flaw."""
        advisory = Advisory(id=identifier, source=source, severity=severity, aliases=aliases)
        self._advisories[advisory.ref] = advisory
        key = versions.lenient_key(namespaces.scheme(namespace), fix)
        flags = RangeFlag.FIXED | (0 if versions.is_exact(key) else RangeFlag.INEXACT)
        said = AffectedRange(b"", key, int(flags), "", fix, repository=repository)
        if repository:
            said = AffectedRange(b"", key, int(flags), "", fix, module="-", repository=repository)
        self._affected[namespace, name, advisory.ref] = (said,)

    def fixed(self, identifier: str, source: str, namespace: str, name: str, fix: str) -> None:
        """The same flaw, with another fix than before."""
        old = self._advisories[f"{source}/{identifier}"]
        self.affects(identifier, source, namespace, name, fix, severity=old.severity, aliases=old.aliases)

    def stored(self, folder: Path) -> Snapshot:
        """A snapshot of this in ``folder``, open."""
        kept = [records.cve(*item) for item in self.cves.items()]
        kept += [records.epss(*item) for item in self.scores.items()]
        kept += [records.advisory(item) for item in self._advisories.values()]
        kept += [records.mapped(name, Mapped("product", cpes)) for name, cpes in self.mapped.items()]
        kept += [records.end_of_life(*item) for item in self.ends.items()]
        counts: dict[str, int] = {}
        for (namespace, name, ref), ranges in self._affected.items():
            kept.append(records.affected(namespace, name, ref, ranges))
            counts[namespace] = counts.get(namespace, 0) + 1
        sources = sorted({advisory.source for advisory in self._advisories.values()})
        kept += records.describe(tuple(SourceInfo(name=name) for name in sources), counts)
        create(folder, sorted(kept))
        return Snapshot.open(folder)
