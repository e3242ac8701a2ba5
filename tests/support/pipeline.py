"""The whole way in one object: upstream's files → build → snapshot, layers → image → index, and both → report."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from ociwriter import Entry, ImageWriter
from redoubt.definitions import snapshot
from redoubt.definitions.build import build
from redoubt.definitions.mirror import Mirror
from redoubt.indexer.index import index_image
from redoubt.indexer.sources import open_source
from redoubt.matcher import match
from redoubt.model import Detection, IndexReport, VulnerabilityReport
from support import csaf, rpmwriter
from support.feeds import fixture_mirror, write_tar, write_zip

Layer = Iterable[Entry]


class Pipeline:
    """A mirror folder that tests write, and what comes of it. ``folder`` is empty at first."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.mirror = folder / "mirror"
        self.mirror.mkdir()
        self._times = 0

    def fixtures(self, *sources: str) -> Pipeline:
        """The fixtures of these sources, as their upstream has them."""
        fixture_mirror(self.mirror, sources)
        return self

    def write(self, path: str, content: object) -> Pipeline:
        """A file of the mirror: text as it is, anything else as JSON."""
        (self.mirror / path).parent.mkdir(parents=True, exist_ok=True)
        (self.mirror / path).write_text(content if isinstance(content, str) else json.dumps(content))
        return self

    def debian(self, **releases: Mapping[str, str]) -> Pipeline:
        """The tracker's word on CVE-2099-0001 of the source ``fixture``, a release at a time."""
        return self.write("debian/tracker.json", {"fixture": {"CVE-2099-0001": {"releases": releases}}})

    def osv(self, ecosystem: str, *records: Mapping[str, object]) -> Pipeline:
        """An ecosystem's zip of OSV."""
        members = {f"{record['id']}.json": json.dumps(record).encode() for record in records}
        write_zip(self.mirror / "osv" / ecosystem / "all.zip", members)
        return self

    def ubuntu(self, *records: Mapping[str, object]) -> Pipeline:
        """Ubuntu's tar of OSV records of CVEs."""
        members = {f"osv/cve/2099/{record['id']}.json": json.dumps(record).encode() for record in records}
        write_tar(self.mirror / "ubuntu" / "osv-all.tar.xz", members, "w:xz")
        return self

    def redhat(self, documents: Iterable[dict[str, object]], repositories: Mapping[str, str]) -> Pipeline:
        """Red Hat's archive of documents, and its map of repositories to products."""
        csaf.archive(self.mirror / "redhat" / "csaf_vex.tar.zst", documents)
        data = {name: {"cpes": [cpe]} for name, cpe in repositories.items()}
        return self.write("redhat/repository-to-cpe.json", {"data": data})

    def index(self, *layers: Layer) -> IndexReport:
        """The index report of an image of these layers, as ``docker save`` would have written it."""
        self._times += 1
        writer = ImageWriter()
        for layer in layers:
            writer.add(layer)
        path = writer.write_docker_archive(self._folder / f"image{self._times}.tar")
        with open_source(str(path)) as source:
            return index_image(source, source.resolve(None))

    def match(
        self, report: IndexReport, *, detection: Detection = Detection.PRECISE, again: bool = False
    ) -> VulnerabilityReport:
        """The report by definitions built of the mirror, at first use or ``again``."""
        target = self._folder / "snapshot"
        if again:
            target = self._folder / f"snapshot{self._times}"
        if not target.exists():
            with build(Mirror(self.mirror)) as built:
                snapshot.create(target, built.records())
        with snapshot.Snapshot.open(target) as definitions:
            return match(report, definitions, detection=detection)

    def scan(self, *layers: Layer) -> VulnerabilityReport:
        """Both in one."""
        return self.match(self.index(*layers))


def osv_record(
    identifier: str,
    ecosystem: str,
    name: str,
    *events: Mapping[str, str],
    kind: str = "ECOSYSTEM",
    **more: object,
) -> dict[str, object]:
    """A record about one package, affected in one range of these events."""
    package = {"ecosystem": ecosystem, "name": name}
    return {
        "id": identifier,
        "modified": "2099-01-01T00:00:00Z",
        "affected": [{"package": package, "ranges": [{"type": kind, "events": list(events)}]}],
        **more,
    }


def os_release(**fields: str) -> Entry:
    """``os-release`` of these fields: ``os_release(ID="rhel", VERSION_ID="9.2")``."""
    lines = "".join(f'{name}="{value}"\n' for name, value in fields.items())
    return Entry("etc/os-release", lines.encode())


def dpkg(name: str, version: str, **fields: str) -> str:
    """A record of dpkg's database; ``fields`` replace and add (``Source="fixture"``)."""
    whole = {
        "Package": name,
        "Status": "install ok installed",
        "Architecture": "amd64",
        "Version": version,
        "Maintainer": "Fixture Team <team@tracker.debian.org>",
        **fields,
    }
    return "".join(f"{key}: {value}\n" for key, value in whole.items())


def dpkg_status(*records: str, path: str = "var/lib/dpkg/status") -> Entry:
    return Entry(path, "\n".join(records).encode())


def rpm(name: str, build: str, **fields: str | int) -> bytes:
    """An rpm header of ``version-release``; Red Hat's unless ``vendor`` says otherwise."""
    version, _, release = build.partition("-")
    whole: dict[str, str | int] = {
        "name": name,
        "version": version,
        "release": release,
        "arch": "x86_64",
        "vendor": "Red Hat, Inc.",
        "source_rpm": f"{name}-{build}.src.rpm",
    }
    return rpmwriter.header(**whole | fields)


def rpm_database(*headers: bytes) -> Entry:
    return Entry("var/lib/rpm/rpmdb.sqlite", rpmwriter.database(headers))


def told(report: VulnerabilityReport) -> list[str]:
    """The findings as ``NAME FLAW STATUS FIXED-IN``, sorted."""
    return sorted(
        f"{package.name} {finding.id} {finding.status} {finding.fixed_version}".strip()
        for package in report.packages
        for finding in package.findings
    )


def hidden(report: VulnerabilityReport) -> list[str]:
    """The suppressed findings as ``NAME FLAW KIND``, sorted."""
    return sorted(
        f"{package.name} {finding.id} {finding.suppression.kind if finding.suppression else ''}"
        for package in report.suppressed
        for finding in package.findings
    )
