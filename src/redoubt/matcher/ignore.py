"""Ignore rules at work: which findings they silence, and which rules silence none. Pure.

A rule never silences more than it says. It must not know which day it is: who calls leaves expired rules out.
"""

from __future__ import annotations

from collections.abc import Sequence

from redoubt.assessments.ignorefile import IgnoreRule
from redoubt.matcher import globs, products
from redoubt.model import Distribution, Finding, PackageFindings, Suppression
from redoubt.model.namespaces import normalize

KIND = "ignore-rule"


class Ignoring:
    """Rules that hold, and what became of each. ``distribution`` is the image's."""

    def __init__(self, rules: Sequence[IgnoreRule], distribution: Distribution | None = None) -> None:
        self._rules = tuple(rules)
        self._distribution = distribution
        self._by_id: dict[str, list[IgnoreRule]] = {}
        self._of_packages: list[IgnoreRule] = []
        for rule in rules:
            if rule.id:
                self._by_id.setdefault(rule.id.casefold(), []).append(rule)
            else:
                self._of_packages.append(rule)
        self._used: set[tuple[str, int]] = set()
        self._short: dict[tuple[str, int], str] = {}

    def rule(self, package: PackageFindings, finding: Finding) -> Suppression | None:
        """Why a finding does not count. A ``suppress.Rule``.

        One about paths silences a finding only where rules speak of every place of the package.
        """
        speaking = [rule for rule in self._about(finding) if self._speaks(rule, package, finding)]
        if not speaking:
            return None
        whole = next((rule for rule in speaking if not rule.path), None)
        if whole is not None:
            self._used.add((whole.file, whole.number))
            return _suppression(whole)
        covering: list[IgnoreRule] = []
        missing = "" if package.locations else "a place that is not known"
        for place in package.locations:
            rule = next((rule for rule in speaking if globs.path(rule.path, place.path)), None)
            if rule is not None:
                covering.append(rule)
            else:
                missing = missing or place.path
        if missing:
            self._short.update({(rule.file, rule.number): missing for rule in covering})
            return None
        self._used.update((rule.file, rule.number) for rule in covering)
        return _suppression(covering[0])

    def idle(self) -> list[tuple[IgnoreRule, str]]:
        """The rules that silenced nothing, once all findings were asked about.

        With each the place that it does not name, where a finding would have been silenced but for that.
        """
        return [
            (rule, self._short.get(key, ""))
            for rule in self._rules
            if (key := (rule.file, rule.number)) not in self._used
        ]

    def _about(self, finding: Finding) -> list[IgnoreRule]:
        found = [
            rule for name in (finding.id, *finding.aliases) for rule in self._by_id.get(name.casefold(), ())
        ]
        return found + self._of_packages if self._of_packages else found

    def _speaks(self, rule: IgnoreRule, package: PackageFindings, finding: Finding) -> bool:
        if rule.status and rule.status != finding.status.value:
            return False
        if rule.version and rule.version != package.version:
            return False
        return not rule.package or self._names(rule.package, package)

    def _names(self, pattern: str, package: PackageFindings) -> bool:
        if pattern[:4].lower() != "pkg:":
            return globs.name(normalize(package.type, pattern), normalize(package.type, package.name))
        wanted = products.parse(pattern)
        return wanted is not None and products.names(wanted, package, self._distribution)


def _suppression(rule: IgnoreRule) -> Suppression:
    return Suppression(
        kind=KIND,
        source=f"{rule.file}, rule {rule.number}",
        reason=rule.reason,
        justification=rule.justification,
        expires=rule.expires,
    )
