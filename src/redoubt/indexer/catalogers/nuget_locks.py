"""NuGet's lists of packages: ``packages.lock.json``, ``packages.config`` and ``Directory.Packages.props``.

The last two are XML, of which only the elements that name packages are looked at, one by one: nothing is
expanded. It must not know whether anything is installed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from redoubt.indexer.catalogers import lockfiles
from redoubt.indexer.catalogers.documents import decoded, table, word
from redoubt.indexer.catalogers.fields import Findings, clean, shown
from redoubt.indexer.catalogers.interface import Catalog, Content, Wanted

_LOCK = msgspec.json.Decoder(dict[str, object])
_ELEMENT = re.compile(r"<([A-Za-z]{1,40})[ \t\r\n]([^<>]*)>").finditer
_ATTRIBUTE = re.compile(r"""([A-Za-z]{1,40})[ \t\r\n]*=[ \t\r\n]*(?:"([^"]*)"|'([^']*)')""").findall
_PROPERTY = re.compile(r"<([A-Za-z_][\w.-]{0,99})>([^<]*)</").findall
_REFERENCE = re.compile(r"\$\(([\w.-]{1,100})\)").fullmatch
#: One version and no range: ``[1.0]`` too.
_EXACT = re.compile(r"\[?[ \t]*([0-9][^][(),*$ \t]*)[ \t]*\]?").fullmatch


class NugetLockCataloger:
    """The first two by their names; of the third also ``NAMEPackages.props``."""

    name = "nuget-lock"
    version = 1
    wanted = Wanted(
        names=frozenset({b"packages.lock.json", b"packages.config"}),
        affixes=frozenset({(b"", b"Packages.props")}),
        max_size=16 << 20,
        declared=True,
    )

    def accepts(self, path: bytes) -> bool:
        """Whether the file is an application's."""
        return lockfiles.counts(path)

    def catalog(self, path: str, content: Content) -> Catalog:
        """Every package with its version; without one where a range or a name that is not set stands for it."""
        found = Findings()
        if path.endswith(".json"):
            _locked(content, found)
            return found.catalog()
        text = _without_comments(content.all().decode("utf-8-sig", "replace"))
        if path.endswith(".props"):
            _central(text, found)
        else:
            _config(text, found)
        return found.catalog()


def _locked(content: Content, found: Findings) -> None:
    document = decoded(_LOCK, content, found)
    if document is None:
        return
    if not isinstance(document.get("dependencies"), dict):
        found.damaged("not as NuGet writes it; packages may be missing")
    for framework in table(document.get("dependencies")).values():
        for name, entry in table(framework).items():
            values = table(entry)
            if word(values.get("type")) != "Project":
                _add(clean(name), word(values.get("resolved")), found)
            if found.full:
                return


def _config(text: str, found: Findings) -> None:
    if "<packages" not in text:
        found.damaged("not as NuGet writes it; packages may be missing")
    for element, attributes in _elements(text):
        if element == "package" and attributes.get("developmentDependency") != "true":
            _add(attributes.get("id", ""), attributes.get("version", ""), found)
        if found.full:
            return


def _central(text: str, found: Findings) -> None:
    properties = dict(_PROPERTY(text))
    for element, attributes in _elements(text):
        if element in ("PackageVersion", "GlobalPackageReference"):
            version = attributes.get("Version", "")
            if reference := _REFERENCE(version):
                version = clean(properties.get(reference[1], ""))
            exact = _EXACT(version)
            _add(attributes.get("Include", ""), exact[1] if exact else "", found, required=False)
        if found.full:
            return


def _elements(text: str) -> Iterator[tuple[str, dict[str, str]]]:
    for match in _ELEMENT(text):
        yield match[1], {name: clean(one or other) for name, one, other in _ATTRIBUTE(match[2])}


def _add(name: str, version: str, found: Findings, *, required: bool = True) -> None:
    if name and (version or not required):
        found.add("nuget", name, version)
    elif required:
        found.damaged(f"a package without a name or a version: {shown(name or version)!r}")


def _without_comments(text: str) -> str:
    first, *rest = text.split("<!--")
    return first + "".join(part.partition("-->")[2] for part in rest)
