""".NET applications: ``*.deps.json``, which says which packages' files lie beside it.

The build writes one for each application, and each shared framework has one. The form is that of
``Microsoft.Extensions.DependencyModel``: ``libraries`` by ``NAME/VERSION``, ``targets`` with each one's files. A
library without files that are used when the program runs is not there. It must not know about lock files.
"""

from __future__ import annotations

import msgspec

from redoubt.indexer.catalogers.documents import decoded, word
from redoubt.indexer.catalogers.fields import Findings, clean, shown
from redoubt.indexer.catalogers.interface import Catalog, Content, Wanted

#: What a program that carries its framework with it has instead of the framework's package.
_PACK = "runtimepack."


class _Library(msgspec.Struct, gc=False):
    type: object = ""


class _Files(msgspec.Struct, rename="camel"):
    """What of a library is used when the program runs."""

    runtime: object = None
    runtime_targets: object = None
    native: object = None
    resources: object = None

    def __bool__(self) -> bool:
        return bool(self.runtime or self.runtime_targets or self.native or self.resources)


class _Target(msgspec.Struct):
    name: object = ""


class _Deps(msgspec.Struct, rename="camel"):
    libraries: dict[str, _Library]
    runtime_target: _Target | str = ""
    targets: dict[str, dict[str, _Files]] = {}


_DECODER = msgspec.json.Decoder(_Deps)


class DotnetCataloger:
    """Files named ``*.deps.json``."""

    name = "dotnet"
    version = 1
    wanted = Wanted(affixes=frozenset({(b"", b".deps.json")}), max_size=32 << 20)

    def accepts(self, path: bytes) -> bool:
        """Every path: the name decides."""
        return True

    def catalog(self, path: str, content: Content) -> Catalog:
        """Every package of which something runs; the application's own projects are left out."""
        found = Findings()
        deps = decoded(_DECODER, content, found)
        if deps is None:
            return found.catalog()
        target = deps.runtime_target.name if isinstance(deps.runtime_target, _Target) else deps.runtime_target
        files = deps.targets.get(word(target))
        for key, library in deps.libraries.items():
            if library.type not in ("package", "runtimepack"):
                continue
            name, _, version = map(clean, key.rpartition("/"))
            if not (name and version):
                found.damaged(f"a package without a name or a version: {shown(key)!r}")
            elif files is None or files.get(key):
                found.add("nuget", name.removeprefix(_PACK), version)
            if found.full:
                break
        return found.catalog()
