"""SBOMs that lie in an image: what they say is in it, where nothing in it says so itself.

Which of it counts is decided when all files are known (``indexer.evidence``): databases of the system's packages go
before it, and so does what is installed. The distribution that an SBOM names is not believed to be the image's.
"""

from __future__ import annotations

from redoubt.errors import LimitExceeded, UnreadableInput
from redoubt.indexer.catalogers.fields import Findings, shown
from redoubt.indexer.catalogers.interface import Catalog, Content, Wanted
from redoubt.model import ProblemKind
from redoubt.model.namespaces import OPERATING_SYSTEM_TYPES

#: Names that files which are no SBOMs have as well.
_COMMON = frozenset({b"bom.json", b"sbom.json"})
#: A document for each installed package (apko, melange): with what each was built from.
_PER_PACKAGE = "var/lib/db/sbom/"
#: Whatever says which image it is: this is for the image's own labels to say.
_IMAGES = frozenset({"oci", "docker"})
#: Types of packages that always have a version: no catalog of them lists one without.
_VERSIONED = frozenset({*OPERATING_SYSTEM_TYPES, "opkg"})


class SbomCataloger:
    """``*.spdx.json``, ``*.cdx.json``, ``*.cyclonedx.json``, ``bom.json`` and ``sbom.json``."""

    name = "sbom"
    version = 1
    wanted = Wanted(
        names=_COMMON,
        affixes=frozenset({(b"", b".spdx.json"), (b"", b".cdx.json"), (b"", b".cyclonedx.json")}),
        max_size=64 << 20,
        declared=True,
    )

    def accepts(self, path: bytes) -> bool:
        """Whatever has such a name."""
        return True

    def catalog(self, path: str, content: Content) -> Catalog:
        """The packages that the SBOM names. What it says of the places where they lie is left out: this is one."""
        from redoubt.indexer import sbom

        found = Findings()
        data = content.all()
        if path.rpartition("/")[2].encode() in _COMMON and not sbom.recognise(data):
            return found.catalog()
        try:
            told = sbom.read(data, "the document")
        except LimitExceeded as error:
            found.problem(ProblemKind.LIMIT, str(error))
            return found.catalog()
        except UnreadableInput as error:
            found.damaged(str(error))
            return found.catalog()
        of_system = path.startswith(_PER_PACKAGE) or f"/{_PER_PACKAGE}" in path
        for package in told.report.packages:
            if package.type in _IMAGES or (of_system and package.type not in OPERATING_SYSTEM_TYPES):
                continue
            if not package.version and package.type in _VERSIONED:
                found.damaged(f"{package.type} package {shown(package.name)!r} has no version")
                continue
            found.add(
                package.type,
                package.name,
                package.version,
                arch=package.arch,
                source_name=package.source_name,
                source_version=package.source_version,
                module=package.module,
                vendor=package.vendor,
                repositories=package.repositories,
            )
        for problem in () if of_system else told.problems:
            found.problem(problem.kind, problem.message)
        return found.catalog()
