"""Python's requirements files: the packages that are pinned in them, as ``pip freeze`` and pip-compile write.

Only ``NAME==VERSION`` says which version there is; other requirements are skipped, and so are files that are
included (``-r``, ``-c``): they are read for themselves where their names tell what they are. Markers are not
evaluated. The rules are pip's ("Requirements File Format"). It must not know whether anything is installed.
"""

from __future__ import annotations

import re

from redoubt.indexer.catalogers import lockfiles
from redoubt.indexer.catalogers.fields import Findings, clean
from redoubt.indexer.catalogers.interface import Catalog, Content, Wanted

_PIN = re.compile(
    r"([A-Za-z0-9][A-Za-z0-9._-]*)[ \t]*(?:\[[^\]]*\])?[ \t]*"
    r"(?:===?[ \t]*([A-Za-z0-9][A-Za-z0-9.!+_-]*)(?=[ \t;#]|$)[ \t]*(?:;|#|--|$)|(@)[ \t]*(\S+))"
).match
_FROM_REPOSITORY = ("git+", "hg+", "svn+", "bzr+")


class RequirementsCataloger:
    """``requirements.txt``, ``NAME-requirements.txt`` and ``requirementsNAME.txt``."""

    name = "requirements"
    version = 1
    wanted = Wanted(
        affixes=frozenset({(b"requirements", b".txt"), (b"", b"requirements.txt")}),
        max_size=4 << 20,
        declared=True,
    )

    def accepts(self, path: bytes) -> bool:
        """Whether the file is an application's, and by its name not one for development."""
        name = path.rpartition(b"/")[2]
        if not name.endswith(b".txt") or not lockfiles.counts(path):
            return False
        words = re.split(rb"[-_.]", name.lower().removesuffix(b".txt"))
        return not lockfiles.for_development(
            word.decode("ascii", "replace") for word in words if word != b"requirements"
        )

    def catalog(self, path: str, content: Content) -> Catalog:
        """Every pinned package. A file of another purpose has none, and no problem."""
        found = Findings()
        text = content.all().decode("utf-8-sig", "replace").replace("\r\n", "\n").replace("\\\n", " ")
        for line in text.split("\n"):
            pin = _PIN(line.strip())
            if pin is None:
                continue
            if pin[2]:
                found.add("pypi", clean(pin[1]), clean(pin[2]))
            elif pin[4].startswith(_FROM_REPOSITORY):
                found.add("pypi", clean(pin[1]), "")
            if found.full:
                break
        return found.catalog()
