"""VEX statements at work: which findings they silence. Pure.

The newest statement about a flaw in a product counts: of one document the last of equally old ones, of several the
most cautious. A statement is about an image, a package in any image, or components of an image (``docs/suppressing.md``).
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import NamedTuple

from redoubt.assessments.statements import Document, Product, State, Statement
from redoubt.matcher import products
from redoubt.model import Distribution, Finding, Image, PackageFindings, Suppression, imagename
from redoubt.model.purl import Purl

KIND = "vex"

_SILENT = frozenset({State.NOT_AFFECTED, State.FIXED})
_CAUTION = (State.NOT_AFFECTED, State.FIXED, State.UNDER_INVESTIGATION, State.AFFECTED)

#: In place of a package, for statements about the whole image.
_WHOLE = ""


class _Entry(NamedTuple):
    """A statement of the document numbered ``document``, at ``position``; ``wanted`` is the package's purl there."""

    statement: Statement
    document: int
    position: int
    wanted: Purl | None


class Vex:
    """The statements of ``documents`` that may bear on one image.

    ``flaws`` are the names (case folded) that will be asked for, so that the rest need not be kept; None: any.
    """

    def __init__(
        self,
        documents: Sequence[Document],
        image: Image,
        distribution: Distribution | None = None,
        flaws: Container[str] | None = None,
    ) -> None:
        self._documents = documents
        self._distribution = distribution
        self._names = ImageNames(image)
        #: Flaw and package → document and purl → the newest word.
        self._entries: dict[tuple[str, str], dict[tuple[int, str], _Entry]] = {}
        self._used: set[int] = set()
        for number, document in enumerate(documents):
            for position, statement in enumerate(document.statements):
                asked = [name for name in statement.flaws if flaws is None or name in flaws]
                if asked:
                    self._add(asked, statement, number, position)

    def rule(self, package: PackageFindings, finding: Finding) -> Suppression | None:
        """Why a finding does not count. A ``suppress.Rule``."""
        best: dict[int, _Entry] = {}
        for entry in self._about(package, finding):
            known = best.get(entry.document)
            if known is None or _age(entry) >= _age(known):
                best[entry.document] = entry
        if not best:
            return None
        self._used.update(best)
        newest = max(
            best.values(),
            key=lambda item: (item.statement.time, _CAUTION.index(item.statement.state), -item.document),
        )
        if newest.statement.state not in _SILENT:
            return None
        document = self._documents[newest.document]
        return Suppression(
            kind=KIND,
            source=f"{document.file} ({document.id})" if document.id else document.file,
            reason=newest.statement.reason,
            justification=newest.statement.justification,
            status=newest.statement.state.value,
        )

    def idle(self) -> list[Document]:
        """The documents of which no statement was about any finding, once all were asked about."""
        return [item for number, item in enumerate(self._documents) if number not in self._used]

    def _add(self, flaws: list[str], statement: Statement, document: int, position: int) -> None:
        for product in statement.products:
            for key, text, wanted in self._keys(product):
                entry = _Entry(statement, document, position, wanted)
                for flaw in flaws:
                    said = self._entries.setdefault((flaw, key), {})
                    known = said.get((document, text))
                    if known is None or _age(entry) >= _age(known):
                        said[document, text] = entry

    def _keys(self, product: Product) -> list[tuple[str, str, Purl | None]]:
        """Under what a product is found: the whole image, or purls of packages, as they are written and taken apart."""
        if any(self._names.named(name) for name in product.names):
            if not product.parts:
                return [(_WHOLE, "", None)]
            return [key for part in product.parts for key in _packages(part)]
        return _packages(product.names)

    def _about(self, package: PackageFindings, finding: Finding) -> list[_Entry]:
        keys = products.keys(package)
        found: list[_Entry] = []
        for name in dict.fromkeys(name.casefold() for name in (finding.id, *finding.aliases)):
            found += self._entries.get((name, _WHOLE), {}).values()
            for key in keys:
                for entry in self._entries.get((name, key), {}).values():
                    if entry.wanted and products.names(entry.wanted, package, self._distribution):
                        found.append(entry)
        return found


class ImageNames:
    """Whether a purl, a digest or another text names an image."""

    def __init__(self, image: Image) -> None:
        self._digests = imagename.digests(image)
        self._repository = imagename.repository(image)
        self._tag = imagename.tag(image)
        self._platform = image.platform
        self._texts = {
            image.reference,
            imagename.bare(image),
            image.subject,
            imagename.iri(image),
            *self._digests,
        }
        self._known: dict[str, bool] = {}

    def named(self, text: str) -> bool:
        """Whether ``text`` names the image."""
        if text in self._texts:
            return True
        if not text.startswith("pkg:"):
            return False
        if (known := self._known.get(text)) is None:
            wanted = products.parse(text)
            known = self._known[text] = wanted is not None and self._is(wanted)
        return known

    def _is(self, wanted: Purl) -> bool:
        if wanted.type not in ("oci", "docker"):
            return False
        if wanted.version in self._digests:  # it names the bytes, wherever they lie
            return True
        qualifiers = dict(wanted.qualifiers)
        place = qualifiers.pop("repository_url", "")
        tag = qualifiers.pop("tag", "") or wanted.version
        if not self._repository or wanted.version.startswith("sha256:") or (tag and tag != self._tag):
            return False
        return self._lies_in(wanted, place) and self._runs_on(qualifiers)

    def _lies_in(self, wanted: Purl, place: str) -> bool:
        if wanted.type == "docker":
            whole = imagename.canonical(f"{place}/{wanted.name}" if place else wanted.name)
            return whole == self._repository
        if self._repository.rpartition("/")[2] != wanted.name:
            return False
        # The specification's repository ends with the name; some tools leave that off.
        return not place or self._repository in (
            imagename.canonical(place),
            imagename.canonical(f"{place}/{wanted.name}"),
        )

    def _runs_on(self, qualifiers: dict[str, str]) -> bool:
        platform = self._platform
        known = {"arch": platform.architecture, "os": platform.os} if platform else {}
        return all(known.get(key) == value for key, value in qualifiers.items())


def _packages(names: Sequence[str]) -> list[tuple[str, str, Purl | None]]:
    purls = [(name, purl) for name in names if name.startswith("pkg:") and (purl := products.parse(name))]
    return [
        (f"{purl.type}/{purl.name}", name, purl) for name, purl in purls if purl.type not in ("oci", "docker")
    ]


def _age(entry: _Entry) -> tuple[float, int]:
    return entry.statement.time, entry.position
