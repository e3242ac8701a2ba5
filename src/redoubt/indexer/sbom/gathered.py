"""What an SBOM comes to, whatever its form: packages, the system they belong to, and what could not be told.

Nothing is dropped in silence: what names no package that can be looked up is counted, with examples. It must
not know any format.
"""

from __future__ import annotations

from collections import Counter

import msgspec

from redoubt.indexer.catalogers.fields import MAX_FIELD, clean, shown
from redoubt.indexer.sbom.systems import from_purl
from redoubt.model import (
    Distribution,
    Image,
    IndexReport,
    Layer,
    Location,
    Package,
    Problem,
    ProblemKind,
    purl,
)
from redoubt.model.namespaces import OPERATING_SYSTEM_TYPES, of_distribution
from redoubt.model.sbom import FIELDS

_EXAMPLES = 3
_MAX_PROBLEMS = 1000
#: More than any image has; each takes half a kilobyte of memory, and fifty bytes of an SBOM.
MAX_PACKAGES = 1_000_000


class Sbom(msgspec.Struct, frozen=True, kw_only=True):
    """An SBOM, read. ``form`` is its format and version; ``subject`` what it says that it is of, empty if it doesn't.

    ``report`` has what else an index report has, of which others' SBOMs tell only some; its image has no
    reference, and packages without locations where the SBOM tells none. ``problems`` are those of reading the
    SBOM; those of the image, which ours carry, are the report's.
    """

    form: str
    subject: str
    report: IndexReport
    problems: tuple[Problem, ...]


class Gathered:
    """Collects what one SBOM says. ``own``: this house wrote it, so that what it says is whole."""

    def __init__(self, form: str, *, own: bool = False) -> None:
        self._form = form
        self.own = own
        self.subject = ""
        self.image = Image(reference="", kind="sbom")
        self.distribution: Distribution | None = None
        self.layers: tuple[Layer, ...] = ()
        self.catalogers: dict[str, int] = {}
        self.lookups: dict[str, str] = {}
        self.told: list[Problem] = []  # of the image
        self._problems: list[Problem] = []
        self._found: dict[Package, set[Location]] = {}
        self._systems: Counter[Distribution] = Counter()
        self._of: dict[Package, Distribution] = {}  # packages of a system, where they say of which
        self._left: dict[str, list[str]] = {}  # why something was left out → examples
        self._counts: Counter[str] = Counter()
        self._full = False

    def package(self, package: Package, seen: purl.Parts | None = None) -> None:
        """One package with its locations, clean or not. ``seen`` is its purl, for the system that it names.

        Beyond ``MAX_PACKAGES`` none is taken, which is said once.
        """
        if len(self._found) >= MAX_PACKAGES:
            self._full = True
            return
        package = _clean(package)
        if not package.type or not package.name:
            self.left_out("names no package", package.name)
            return
        fields = (package.type, package.name, package.version, package.arch)
        if max(map(len, (*fields, package.source_name, package.source_version, package.module))) > MAX_FIELD:
            self.left_out(f"has a field of over {MAX_FIELD} characters", package.name)
            return
        bare = msgspec.structs.replace(package, locations=())
        self._found.setdefault(bare, set()).update(package.locations)
        if seen and not self.own and package.type in OPERATING_SYSTEM_TYPES:
            system = from_purl(seen.namespace, seen.qualifiers.get("distro", ""))
            if system:
                self._of[bare] = system
                self._systems[system] += 1

    def left_out(self, why: str, example: str) -> None:
        """Something that names no package, and why: ``has no package URL``."""
        self._counts[why] += 1
        examples = self._left.setdefault(why, [])
        if len(examples) < _EXAMPLES and (text := shown(example)) and text not in examples:
            examples.append(text)

    def problem(self, kind: ProblemKind, message: str) -> None:
        """Something about the SBOM as a whole."""
        if len(self._problems) < _MAX_PROBLEMS:
            self._problems.append(Problem(kind=kind, message=message))

    def sbom(self) -> Sbom:
        """Everything, sorted and each once."""
        if self._full:
            self.problem(ProblemKind.LIMIT, f"more than {MAX_PACKAGES:,} packages; the rest are not read")
        distribution = self.distribution or self._voted()
        self._drop_others(distribution)
        for why, number in self._counts.items():
            examples = ", ".join(self._left[why])
            more = ", …" if number > len(self._left[why]) else ""
            self.problem(
                ProblemKind.UNSUPPORTED,
                f"{number:,} {'component' if number == 1 else 'components'} of the SBOM left out, because "
                f"{'it' if number == 1 else 'each'} {why}" + (f": {examples}{more}" if examples else ""),
            )
        packages = tuple(
            msgspec.structs.replace(package, locations=tuple(sorted(places)))
            for package, places in sorted(self._found.items(), key=lambda item: item[0].identity)
        )
        report = IndexReport(
            image=msgspec.structs.replace(self.image, kind="sbom", subject=self.subject),
            distribution=distribution,
            layers=self.layers,
            packages=packages,
            problems=tuple(sorted({*self.told})),
            catalogers=self.catalogers,
            lookups=self.lookups,
        )
        return Sbom(form=self._form, subject=self.subject, report=report, problems=tuple(self._problems))

    def _voted(self) -> Distribution | None:
        """The system that most packages name, one with a version before one without."""
        if not self._systems:
            return None
        return max(
            self._systems, key=lambda one: (bool(one.version_id or one.codename), self._systems[one], one.id)
        )

    def _drop_others(self, distribution: Distribution | None) -> None:
        """Leave out packages of another system than the SBOM's: they would be judged by the wrong data."""
        if distribution is None:
            return
        others = {
            system: " ".join(part for part in (system.id, system.version_id or system.codename) if part)
            for system in self._systems
            if not _same(system, distribution)
        }
        if not others:
            return
        for package, system in self._of.items():
            if system in others:
                self._found.pop(package, None)
                self.left_out(f"is of {clean(others[system])} and not of the SBOM's system", package.name)


def _same(one: Distribution, system: Distribution) -> bool:
    """Whether packages of ``one`` are judged as those of ``system``. One that says no version may be any."""
    theirs, ours = of_distribution(one), of_distribution(system)
    if theirs == ours and ours is not None:
        return True
    return one.id == system.id and (ours is None or not (one.version_id or one.codename))


def _clean(package: Package) -> Package:
    """The package as catalogers would tell it; most are so already."""
    dirty = {
        field: cleaned for field in FIELDS if (cleaned := clean(text := getattr(package, field))) != text
    }
    return msgspec.structs.replace(package, **dirty) if dirty else package
