"""What people have judged, as commands are given it: files read before the work, and what is to be said after it."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from redoubt.errors import AccessDenied, UnreadableInput

if TYPE_CHECKING:
    from redoubt.assessments.ignorefile import IgnoreRule
    from redoubt.assessments.statements import Document
    from redoubt.cli.console import Console
    from redoubt.matcher.ignore import Ignoring
    from redoubt.matcher.vex import Vex
    from redoubt.model import Distribution, Image, VulnerabilityReport

#: What an ignore file is usually called. It is never read unless somebody says so.
USUAL_NAME = "redoubt-ignore.toml"

_NAMED = 5  # rules named in one warning


@dataclass(frozen=True)
class Assessments:
    """VEX documents, and ignore rules: those that hold and those whose end has come.

    ``replaced`` are documents of which a newer version was given too.
    """

    rules: tuple[IgnoreRule, ...] = ()
    expired: tuple[IgnoreRule, ...] = ()
    documents: tuple[Document, ...] = ()
    replaced: tuple[Document, ...] = ()

    def applied(self, report: VulnerabilityReport, console: Console) -> VulnerabilityReport:
        """The report with what is silenced among its ``suppressed``. Says what did nothing."""
        from redoubt.matcher.suppress import first, suppress

        if not self.rules and not self.documents:
            self.warn(console)
            return report
        flaws = {
            name.casefold()
            for package in report.packages
            for item in package.findings
            for name in (item.id, *item.aliases)
        }
        voices = self.voices(report.image, report.distribution, flaws)
        report = suppress(report, first(voices.vex.rule, voices.ignoring.rule))
        self.warn(console)
        for warning in _idle(voices.ignoring):
            console.warn(warning)
        for document in voices.vex.idle():
            number = f"{len(document.statements):,}"
            console.notice(f"{document.file}: none of its statements ({number}) is about a finding here")
        return report

    def voices(
        self, image: Image, distribution: Distribution | None, flaws: Container[str] | None = None
    ) -> Voices:
        """Who may silence findings of one image. ``flaws``: see ``matcher.vex.Vex``."""
        from redoubt.matcher.ignore import Ignoring
        from redoubt.matcher.vex import Vex

        return Voices(Vex(self.documents, image, distribution, flaws), Ignoring(self.rules, distribution))

    def warn(self, console: Console) -> None:
        """Say what is to be said of the files whatever image they are applied to."""
        for warning in self.warnings():
            console.warn(warning)

    def warnings(self) -> list[str]:
        """What is amiss with the files."""
        told = [
            f"{file}: {_count(rules)} expired and not applied: {_listed(rules, until=True)}"
            for file, rules in _by_file(self.expired).items()
        ]
        told += [
            f"{item.file}: a newer version of {item.id} was given too, which replaces it"
            for item in self.replaced
        ]
        for item in self.documents:
            if item.unaddressed:
                number = (
                    "1 statement names" if item.unaddressed == 1 else f"{item.unaddressed:,} statements name"
                )
                told.append(f"{item.file}: {number} no product that could be compared (a purl or a digest)")
        return told


@dataclass(frozen=True)
class Voices:
    """Who may silence findings of one image: VEX before ignore rules, so that these show as no longer needed."""

    vex: Vex
    ignoring: Ignoring


def load(ignore_files: Sequence[Path], vex_files: Sequence[Path], today: date) -> Assessments:
    """Read the files. Raises ``UsageError``, ``UnreadableInput`` or ``AccessDenied``."""
    rules: list[IgnoreRule] = []
    if ignore_files:
        from redoubt.assessments import ignorefile

        for file in dict.fromkeys(ignore_files):
            rules += ignorefile.read(_read(file, ignorefile.MAX_BYTES), str(file))
    documents: list[Document] = []
    replaced: list[Document] = []
    if vex_files:
        from redoubt.assessments.documents import newest, read
        from redoubt.assessments.statements import MAX_BYTES

        documents, replaced = newest(
            read(_read(file, MAX_BYTES), str(file)) for file in dict.fromkeys(vex_files)
        )
    return Assessments(
        rules=tuple(rule for rule in rules if not rule.expired(today)),
        expired=tuple(rule for rule in rules if rule.expired(today)),
        documents=tuple(documents),
        replaced=tuple(replaced),
    )


def left_lying(ignore_files: Sequence[Path]) -> str:
    """A line on the usual file, where it lies here and nobody named one; else empty."""
    if ignore_files or not Path(USUAL_NAME).is_file():
        return ""
    return f"{USUAL_NAME} lies here and is not read; --ignore-file {USUAL_NAME} applies its rules"


def _idle(ignoring: Ignoring) -> list[str]:
    idle = ignoring.idle()
    told = [
        f"{rule.file}: {rule.name} silences nothing: its package also lies in {place}"
        for rule, place in idle
        if place
    ]
    unused = _by_file([rule for rule, place in idle if not place])
    return told + [
        f"{file}: {_count(rules)} silenced nothing here: {_listed(rules)}" for file, rules in unused.items()
    ]


def _by_file(rules: Sequence[IgnoreRule]) -> dict[str, list[IgnoreRule]]:
    files: dict[str, list[IgnoreRule]] = {}
    for rule in rules:
        files.setdefault(rule.file, []).append(rule)
    return files


def _count(rules: Sequence[IgnoreRule]) -> str:
    return "1 rule" if len(rules) == 1 else f"{len(rules):,} rules"


def _listed(rules: Sequence[IgnoreRule], *, until: bool = False) -> str:
    told = "; ".join(rule.name + (f" on {rule.expires}" if until else "") for rule in rules[:_NAMED])
    return told + (f" and {len(rules) - _NAMED:,} more" if len(rules) > _NAMED else "")


def _read(path: Path, limit: int) -> bytes:
    """A file, and at most a byte more than ``limit``: the reader of it refuses that."""
    try:
        with path.open("rb") as file:
            return file.read(limit + 1)
    except PermissionError:
        raise AccessDenied(f"{path}: permission denied") from None
    except OSError as error:
        raise UnreadableInput(f"{path}: {error.strerror}") from None
