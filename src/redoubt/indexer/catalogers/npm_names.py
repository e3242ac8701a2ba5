"""How the npm family's lock files write a package's name, its version and where it came from. Pure text."""

from __future__ import annotations

from redoubt.indexer.catalogers.fields import Findings, clean


def split(text: str) -> tuple[str, str]:
    """``@scope/name@1.0.0`` → name and what follows the at sign (empty without one)."""
    at = text.find("@", 1)
    return (text, "") if at < 0 else (text[:at], text[at + 1 :])


def from_registry(url: str) -> bool:
    """Whether a package with this ``resolved`` address came from a registry; so does one without an address.

    Registries serve archives as ``…/NAME/-/NAME-1.0.0.tgz``, GitHub's as ``…/download/NAME/1.0.0/…``: mirrors
    and private ones too. Anything else is a repository, somebody's archive or a file.
    """
    return not url or (url.startswith(("https://", "http://")) and ("/-/" in url or "/download/" in url))


def add(found: Findings, name: str, version: str, *, registry: bool) -> None:
    """A package; without its version if no registry gave it."""
    name, version = clean(name), clean(version)
    if name and (version or not registry):
        found.add("npm", name, version if registry else "")
    else:
        found.damaged("a package without a name or a version")
