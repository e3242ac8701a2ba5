"""Python's lock files: ``poetry.lock``, ``uv.lock``, ``pdm.lock``, ``pylock.toml`` (PEP 751), ``Pipfile.lock``.

Each names the packages that an application was resolved to. Packages of an index are listed with their
version, whichever index: mirrors carry PyPI's packages. Those of a repository are listed without one, the
application's own folders not at all, and what is only for development is left out where the file says it.
It must not know whether anything is installed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from redoubt.indexer.catalogers import lockfiles, tomllines
from redoubt.indexer.catalogers.documents import decoded, table, word
from redoubt.indexer.catalogers.fields import Findings, shown
from redoubt.indexer.catalogers.interface import Catalog, Content, Wanted
from redoubt.indexer.catalogers.tomllines import Table

_PIPFILE = msgspec.json.Decoder(dict[str, object])


class PythonLockCataloger:
    """The five lock files by their names; of ``pylock.toml`` also ``pylock.NAME.toml``."""

    name = "python-lock"
    version = 1
    wanted = Wanted(
        names=frozenset({b"poetry.lock", b"uv.lock", b"pdm.lock", b"pylock.toml", b"Pipfile.lock"}),
        affixes=frozenset({(b"pylock.", b".toml")}),
        max_size=16 << 20,
        declared=True,
    )

    def accepts(self, path: bytes) -> bool:
        """Whether the file is an application's."""
        name = path.rpartition(b"/")[2]
        if name not in self.wanted.names and not (name.endswith(b".toml") and name.count(b".") == 2):
            return False
        return lockfiles.counts(path)

    def catalog(self, path: str, content: Content) -> Catalog:
        """What the application needs to run."""
        found = Findings()
        name = path.rpartition("/")[2]
        if name == "Pipfile.lock":
            _pipfile(content, found)
        else:
            text = content.all().decode("utf-8", "replace")
            packages = _Toml(text, "packages" if name.startswith("pylock.") else "package", found)
            _READERS.get(name, _pylock)(packages, found)
            if not packages.like_a_lock_file:
                found.damaged("not as a program writes it; packages may be missing")
        return found.catalog()


class _Toml:
    """The packages of a file: each one's own table and those below it, by their names without the package's."""

    def __init__(self, text: str, array: str, found: Findings) -> None:
        self._text, self._array, self._found = text, array, found
        self.like_a_lock_file = False

    def __iter__(self) -> Iterator[dict[str, Table]]:
        package: dict[str, Table] = {}
        below = self._array + "."
        for item in tomllines.tables(self._text):
            if item.name == self._array:
                self.like_a_lock_file = True
                if package:
                    yield package
                package = {"": item} if self._named(item) else {}
                if self._found.full:
                    return
            elif item.name.startswith(below) and package:
                package.setdefault(item.name[len(below) :], item)
            elif item.name == "metadata" or {"version", "lock-version"} & item.values.keys():
                self.like_a_lock_file = True
        if package:
            yield package

    def _named(self, package: Table) -> bool:
        if package.text("name"):
            return True
        self._found.damaged(f"a package without a name: {shown(package.text('version'))!r}")
        return False


def _poetry(packages: _Toml, found: Findings) -> None:
    for package in packages:
        own = package[""]
        groups = tomllines.strings(own.values.get("groups", "")) or [own.text("category")]
        source = package["source"].text("type") if "source" in package else ""
        if source != "directory" and not lockfiles.for_development(groups):
            _add(own, source == "git", found)


def _pdm(packages: _Toml, found: Findings) -> None:
    for package in packages:
        own = package[""]
        groups = tomllines.strings(own.values.get("groups", ""))
        if not (own.text("path") or lockfiles.for_development(groups)):
            _add(own, "git" in own.values, found)


def _pylock(packages: _Toml, found: Findings) -> None:
    for package in packages:
        own = package[""]
        if not ("directory" in package or "directory" in own.values):
            _add(own, "vcs" in package or "vcs" in own.values, found)


def _uv(packages: _Toml, found: Findings) -> None:
    """The file says what each package needs: what only groups for development lead to is left out."""
    listed: list[tuple[Table, str]] = []
    needs: dict[str, set[str]] = {}
    start: list[str] = []
    for package in packages:
        own = package[""]
        source = own.values.get("source", "")
        needed = needs.setdefault(own.text("name"), set())
        needed.update(tomllines.each(own.values.get("dependencies", ""), "name"))
        for group in _values(package, "optional-dependencies"):
            needed.update(tomllines.each(group[1], "name"))
        if any(tomllines.has(source, key) for key in ("editable", "virtual", "directory")):
            start.append(own.text("name"))
            for name, group_needs in _values(package, "dev-dependencies"):
                if not lockfiles.for_development([name]):
                    needed.update(tomllines.each(group_needs, "name"))
        else:
            listed.append(
                (Table(own.name, {key: own.values.get(key, "") for key in ("name", "version")}), source)
            )
    reached = lockfiles.reached(start, needs)
    for own, source in listed:
        if not reached or own.text("name") in reached:
            _add(own, tomllines.has(source, "git"), found)


def _values(package: dict[str, Table], name: str) -> list[tuple[str, str]]:
    return list(package[name].values.items()) if name in package else []


def _add(own: Table, from_repository: bool, found: Findings) -> None:
    found.add("pypi", own.text("name"), "" if from_repository else own.text("version"))


def _pipfile(content: Content, found: Findings) -> None:
    document = decoded(_PIPFILE, content, found)
    if document is None:
        return
    if not ("default" in document or "_meta" in document):
        found.damaged("not as pipenv writes it; packages may be missing")
    for name, entry in table(document.get("default")).items():
        values = table(entry)
        if not ("path" in values or "editable" in values):
            version = word(values.get("version"))
            pinned = version.startswith("==") and "git" not in values
            found.add("pypi", word(name), version.lstrip("=").strip() if pinned else "")


_READERS: dict[str, Callable[[_Toml, Findings], None]] = {
    "poetry.lock": _poetry,
    "uv.lock": _uv,
    "pdm.lock": _pdm,
}
