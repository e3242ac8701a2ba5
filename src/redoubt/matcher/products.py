"""Whether a purl that somebody wrote names a package of an image. Pure.

A purl names every package that has what it says: without a version, all versions; without qualifiers, all.
"""

from __future__ import annotations

from functools import lru_cache

from redoubt.matcher import globs
from redoubt.model import Distribution, PackageFindings, purl
from redoubt.model.purl import Purl

#: How a purl says that it names a source package, by type.
_SOURCES = {"deb": "source", "rpm": "src"}

#: What a qualifier is where it is not written.
_DEFAULTS = {"epoch": "0", "type": "jar"}

parse = lru_cache(maxsize=1 << 14)(purl.parse)


def keys(package: PackageFindings) -> tuple[str, ...]:
    """``type/name`` of the purls that may name a package: its own, and its source package's."""
    found = parse(package.purl)
    if found is None:
        return ()
    own = f"{found.type}/{found.name}"
    if found.type not in _SOURCES or not (source := _source(found)[0]):
        return (own,)
    return tuple(dict.fromkeys((own, f"{found.type}/{source}")))


def names(wanted: Purl, package: PackageFindings, distribution: Distribution | None = None) -> bool:
    """Whether ``wanted`` names ``package``; ``*`` in its name and version is any text.

    A purl of a source package (``arch=source`` for deb, ``src`` for rpm) names what was built from it.
    ``distro`` may be any name of the image's ``distribution``.
    """
    found = parse(package.purl)
    if found is None or found.type != wanted.type:
        return False
    qualifiers = found.qualifiers
    name, version = found.name, found.version
    if wanted.qualifiers.get("arch", "") == _SOURCES.get(found.type, "-"):
        source, of_source = _source(found)
        if source:
            name, version = source, of_source or version
        qualifiers = qualifiers | {"arch": wanted.qualifiers["arch"]}
    if not globs.name(wanted.name, name) or (wanted.version and not globs.name(wanted.version, version)):
        return False
    if wanted.subpath and wanted.subpath != found.subpath:
        return False
    return all(
        value == qualifiers.get(key, _DEFAULTS.get(key))
        or (key == "distro" and distribution is not None and value in _names(distribution))
        for key, value in wanted.qualifiers.items()
    )


def _source(found: Purl) -> tuple[str, str]:
    """Name, with the namespace, and version of the source package that a purl names beside the package, if any."""
    source, _, version = found.qualifiers.get("upstream", "").partition("@")
    namespace, slash, _ = found.name.rpartition("/")
    return (f"{namespace}{slash}{source}" if source else ""), version


def _names(distribution: Distribution) -> tuple[str, ...]:
    parts = (distribution.version_id, distribution.codename)
    return (distribution.id, *parts, *(f"{distribution.id}-{part}" for part in parts if part))
