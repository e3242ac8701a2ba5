"""What one layer said, before layers are laid over each other. This is what the layer cache holds."""

from __future__ import annotations

import msgspec

from redoubt.indexer.origins import Origin
from redoubt.indexer.ownership import Claim
from redoubt.indexer.repositories import RepositoryList
from redoubt.model import Distribution, Package, Problem


class FileReport(msgspec.Struct, frozen=True, array_like=True):
    """One wanted file. A file without packages is kept: it hides what lower layers had at its path."""

    path: str
    cataloger: str
    packages: tuple[Package, ...] = ()
    problems: tuple[Problem, ...] = ()
    distribution: Distribution | None = None
    elsewhere: str = ""
    claims: tuple[Claim, ...] = ()
    origins: tuple[Origin, ...] = ()
    listed: RepositoryList | None = None


class LayerReport(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a layer holds that an index can depend on.

    ``diff_id`` and ``digest`` are computed, not claimed. ``whiteouts`` are the paths removed (without
    ``.wh.``), ``opaques`` the directories whose lower content is hidden. ``links`` maps each symlink on
    the way to a package database to its target, as written. ``names`` is zstd of the paths of all
    entries, a line each, a directory's with a slash at its end: what they cover in lower layers is gone.
    ``problems`` are of the layer as a whole (truncated, a limit).
    """

    diff_id: str
    digest: str
    size: int
    unpacked_size: int
    entries: int
    files: tuple[FileReport, ...] = ()
    whiteouts: tuple[str, ...] = ()
    opaques: tuple[str, ...] = ()
    links: dict[str, str] = {}
    names: bytes = b""
    problems: tuple[Problem, ...] = ()


#: What keeping one thing costs beyond its text, roughly, in bytes.
RECORD = 256


def weight(report: FileReport) -> int:
    """How much memory keeping a file's report takes, roughly, in bytes."""
    said = sum(map(_package, report.packages)) + _problems(report.problems)
    claimed = sum(RECORD + len(claim.owner) + len(claim.paths) for claim in report.claims)
    origins = sum(RECORD + sum(map(len, msgspec.structs.astuple(origin))) for origin in report.origins)
    listed = sum(RECORD + len(name) for name in report.listed.repositories) if report.listed else 0
    return len(report.path) + len(report.elsewhere) + RECORD + said + claimed + origins + listed


def layer_weight(report: LayerReport) -> int:
    """The same for a layer's report."""
    paths = (*report.whiteouts, *report.opaques, *report.links, *report.links.values())
    return (
        len(report.names)
        + sum(map(weight, report.files))
        + sum(map(len, paths))
        + len(paths) * RECORD
        + _problems(report.problems)
    )


def _package(package: Package) -> int:
    size = RECORD + len(package.name) + len(package.version) + len(package.arch) + len(package.vendor)
    size += len(package.source_name) + len(package.source_version) + len(package.module)
    size += sum(map(len, package.repositories))
    return size + sum(len(place.path) for place in package.locations)


def _problems(problems: tuple[Problem, ...]) -> int:
    return sum(RECORD + len(problem.path) + len(problem.message) for problem in problems)
