"""Package URLs: how a package is named outside this house. Pure text; nothing here looks anything up.

Rules: the purl specification (ECMA-427) and its type definitions. The same strings as
``packageurl-python`` gives for the same parts, which a test checks; written here because every package
of a report needs one and the library takes 36 µs for each.
"""

from __future__ import annotations

import re
from urllib.parse import quote, unquote

import msgspec

from redoubt.model.namespaces import normalize
from redoubt.model.package import Distribution, Package

#: Types whose names fold case by the purl specification, whatever their package manager does.
_FOLDED = frozenset(
    {"golang", "github", "bitbucket", "composer", "oci", "docker", "deb", "apk", "alpm", "hex", "nuget"}
)

#: What needs no percent sign. ``quote`` would find the same, four times slower.
_PLAIN = re.compile("[A-Za-z0-9.~:_-]*").fullmatch


#: Longer texts are no purls.
_MAX_PURL = 8192


class Purl(msgspec.Struct, frozen=True):
    """A purl taken apart, decoded. ``name`` is everything before the version: ``debian/openssl``, ``@scope/a``.

    It is in the form in which names of its type are compared; ``type`` and the keys of ``qualifiers`` are lower-case.
    """

    type: str
    name: str
    version: str = ""
    qualifiers: dict[str, str] = {}
    subpath: str = ""


def parse(text: str) -> Purl | None:
    """The parts of a purl (ECMA-427, 5.6); None where it is none. An ``@`` that begins a segment is a scope's."""
    if len(text) > _MAX_PURL or text[:4].lower() != "pkg:":
        return None
    rest, _, subpath = text[4:].lstrip("/").partition("#")
    rest, _, query = rest.partition("?")
    kind, _, rest = rest.partition("/")
    at = rest.rfind("@")
    version = ""
    if at > 0 and rest[at - 1] != "/":
        rest, version = rest[:at], unquote(rest[at + 1 :])
    kind = kind.lower()
    name = normalize(kind, "/".join(unquote(part) for part in rest.split("/") if part))
    if not kind or not name:
        return None
    pairs = (pair.partition("=") for pair in query.split("&"))
    qualifiers = {key.lower(): unquote(value) for key, _, value in pairs if key and value}
    if kind in _FOLDED:
        name = name.lower()
    return Purl(kind, name, version, qualifiers, unquote(subpath.strip("/")))


def of_package(package: Package, distribution: Distribution | None = None) -> str:
    """The purl of an installed package, with what tells it apart on its system.

    For deb, rpm, apk and alpm the namespace is the distribution's id (nothing where it is unknown), and the
    qualifiers are ``arch``, ``distro`` (``debian-11``), ``epoch`` (rpm only: its version has none) and
    ``upstream`` (``source`` or ``source@version``, as SBOM tools write it).
    """
    match package.type:
        case "deb" | "rpm" | "apk" | "alpm":
            return _operating_system(package, distribution)
        case "oci":
            return _container(package)
        case "npm":
            scope, _, name = package.name.rpartition("/")
        case "maven":
            scope, _, name = package.name.rpartition(":")
        case "golang" | "portage" | "composer":
            scope, _, name = package.name.rpartition("/")
        case "swift":
            scope, _, name = normalize("swift", package.name).rpartition("/")
        case "pypi":
            scope, name = "", normalize("pypi", package.name)
        case _:
            scope, name = "", package.name
    return _text(package.type, scope, name, package.version, {})


def _operating_system(package: Package, distribution: Distribution | None) -> str:
    version = package.version
    qualifiers: dict[str, str] = {}
    if package.arch:
        qualifiers["arch"] = package.arch
    if distribution:
        parts = (distribution.id, distribution.version_id or distribution.codename)
        qualifiers["distro"] = "-".join(part for part in parts if part)
    if package.type == "rpm":
        epoch, colon, rest = version.partition(":")
        if colon:
            version = rest
            if epoch != "0":
                qualifiers["epoch"] = epoch
    if package.source_name:
        parts = (package.source_name, package.source_version)
        qualifiers["upstream"] = "@".join(part for part in parts if part)
    return _text(package.type, distribution.id if distribution else "", package.name, version, qualifiers)


def _container(package: Package) -> str:
    """A container image by the tag of its build: its digest is not in the image."""
    qualifiers = {"arch": package.arch, "tag": package.version}
    scope, _, name = package.name.rpartition("/")
    if scope:
        qualifiers["repository_url"] = package.name
    return _text("oci", "", name, "", qualifiers)


def _text(kind: str, scope: str, name: str, version: str, qualifiers: dict[str, str]) -> str:
    parts = [_quote(part) for part in (*scope.split("/"), name) if part]
    text = f"pkg:{kind}/{'/'.join(parts)}"
    if version:
        text += "@" + _quote(version)
    if qualifiers:
        pairs = sorted((key, value) for key, value in qualifiers.items() if value)
        text += "?" + "&".join(f"{key}={_quote(value)}" for key, value in pairs)
    return text


def _quote(text: str) -> str:
    """Percent-encoded, but for letters, digits, ``.-_~`` and the colon, which the specification leaves."""
    if _PLAIN(text):
        return text
    return quote(text, safe=":", errors="replace")
