"""Installed npm packages: each package's own ``package.json`` directly under a folder of modules.

Such folders are every ``node_modules`` and those that Debian puts on Node's path for the whole system.

It must not know about lock files or about an application's own manifest, which say what was asked for
and not what is there.
"""

from __future__ import annotations

import re

import msgspec

from redoubt.indexer.catalogers.documents import decoded
from redoubt.indexer.catalogers.fields import Findings, clean
from redoubt.indexer.catalogers.interface import Catalog, Content, Wanted

# A name begins with neither a dot nor an underscore (npm's rules for "name" in package.json).
_OWN_MANIFEST = re.compile(
    rb"(?:^|/)(?:node_modules|usr/(?:share|lib(?:/[a-z0-9_]+-linux-[a-z0-9_]+)?)/nodejs)"
    rb"/(?:@[^/]+/)?[^@._/][^/]*/package\.json$"
)


class _Manifest(msgspec.Struct):
    """The two fields that matter, whatever their type: npm publishes no schema that holds."""

    name: object = None
    version: object = None


_DECODER = msgspec.json.Decoder(_Manifest)


class NpmCataloger:
    """``node_modules/NAME/package.json`` and ``node_modules/@SCOPE/NAME/package.json``, at any depth."""

    name = "npm"
    version = 2
    wanted = Wanted(names=frozenset({b"package.json"}), max_size=16 << 20)

    def accepts(self, path: bytes) -> bool:
        """Whether this is a package's own manifest, and not one of a folder inside a package."""
        return _OWN_MANIFEST.search(path) is not None

    def catalog(self, path: str, content: Content) -> Catalog:
        """The package, if the manifest has both a name and a version: without, it is not a package."""
        found = Findings()
        manifest = decoded(_DECODER, content, found)
        if manifest is None:
            return found.catalog()
        name, version = manifest.name, manifest.version
        if isinstance(name, str) and isinstance(version, str):
            name, version = clean(name), clean(version)
            if name and version:
                found.add("npm", name, version)
        elif name is not None and version is not None:
            found.damaged("name or version is not text")
        return found.catalog()
