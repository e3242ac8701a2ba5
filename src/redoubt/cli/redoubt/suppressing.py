"""What people have judged, as commands are given it: files read before the work, and what is to be said after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from redoubt.errors import AccessDenied, UnreadableInput

if TYPE_CHECKING:
    from redoubt.assessments.ignorefile import IgnoreRule
    from redoubt.matcher.ignore import Ignoring
    from redoubt.matcher.suppress import Rule
    from redoubt.model import Distribution, Image, VulnerabilityReport

#: What an ignore file is usually called. It is never read unless somebody says so.
USUAL_NAME = "redoubt-ignore.toml"

_NAMED = 5  # rules named in one warning


@dataclass(frozen=True)
class Assessments:
    """Ignore rules, those that hold and those whose end has come."""

    rules: tuple[IgnoreRule, ...] = ()
    expired: tuple[IgnoreRule, ...] = ()

    def applied(self, report: VulnerabilityReport) -> tuple[VulnerabilityReport, list[str]]:
        """The report with what is silenced among its ``suppressed``, and warnings of what did nothing."""
        from redoubt.matcher.suppress import suppress

        voices = self.voices(report.image, report.distribution)
        for rule in voices.rules:
            report = suppress(report, rule)
        return report, [*self.warnings(), *_idle(voices.ignoring)]

    def voices(self, image: Image, distribution: Distribution | None) -> Voices:
        """The rules, as ``suppress`` takes them, for one image."""
        from redoubt.matcher.ignore import Ignoring

        ignoring = Ignoring(self.rules, distribution)
        return Voices(ignoring, (ignoring.rule,) if self.rules else ())

    def warnings(self) -> list[str]:
        """What is to be said of the files whatever image they are applied to."""
        return [
            f"{file}: {_count(rules)} expired and not applied: {_listed(rules, until=True)}"
            for file, rules in _by_file(self.expired).items()
        ]


@dataclass(frozen=True)
class Voices:
    """Who may silence findings of one image, in order."""

    ignoring: Ignoring
    rules: tuple[Rule, ...]


def load(ignore_files: Sequence[Path], today: date) -> Assessments:
    """Read the files. Raises ``UsageError``, ``UnreadableInput`` or ``AccessDenied``."""
    if not ignore_files:
        return Assessments()
    from redoubt.assessments import ignorefile

    files = dict.fromkeys(ignore_files)
    rules = [rule for file in files for rule in ignorefile.read(_read(file, ignorefile.MAX_BYTES), str(file))]
    return Assessments(
        rules=tuple(rule for rule in rules if not rule.expired(today)),
        expired=tuple(rule for rule in rules if rule.expired(today)),
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
