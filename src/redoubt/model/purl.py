"""Package URLs: how a package is named outside this house. Pure text; nothing here looks anything up.

Rules: the purl specification (ECMA-427) and its type definitions. The same strings as
``packageurl-python`` gives for the same parts, and the same parts of the same strings, which tests check; written
here because every package of a report needs one and the library takes 36 µs for each.
"""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import quote, unquote

import msgspec

from redoubt.model.namespaces import OPERATING_SYSTEM_TYPES, normalize
from redoubt.model.package import Distribution, Package

#: Types whose names fold case by the purl specification, whatever their package manager does.
_FOLDED = frozenset(
    {"golang", "github", "bitbucket", "composer", "oci", "docker", "deb", "apk", "alpm", "hex", "nuget"}
)

#: What needs no percent sign. ``quote`` would find the same, four times slower.
_PLAIN = re.compile("[A-Za-z0-9.~:_-]*").fullmatch
_TYPE = re.compile("[a-z][a-z0-9.+-]*").fullmatch
_KEY = re.compile("[a-z][a-z0-9._-]*").fullmatch
#: Types in whose purls a namespace says whose package it is, and is no part of the name.
_NAMED_ALONE = frozenset({*OPERATING_SYSTEM_TYPES, "opkg", "snap"})
#: Longer texts are no purls.
_MAX_PURL = 8192


class Parts(msgspec.Struct, frozen=True, gc=False):
    """The parts of a package URL, percent signs resolved. Empty where it has none."""

    type: str
    namespace: str
    name: str
    version: str = ""
    qualifiers: dict[str, str] = {}
    subpath: str = ""


def take_apart(text: str) -> Parts | None:
    """The parts of a purl; None if ``text`` is none.

    Follows "How to parse a purl string" of the specification. An ``@`` at the beginning of a part of the name
    is taken for a scope's (``pkg:npm/@a/b``), which ought to be written ``%40`` and often is not.
    """
    text = text.strip()
    if len(text) > _MAX_PURL or text[:4].lower() != "pkg:":
        return None
    rest, _, subpath = text[4:].partition("#")
    rest, _, query = rest.partition("?")
    kind, _, rest = rest.strip("/").partition("/")
    kind = kind.lower()
    if not _TYPE(kind):
        return None
    version = ""
    at = rest.rfind("@")
    if at > 0 and rest[at - 1] != "/":
        rest, version = rest[:at], unquote(rest[at + 1 :])
    *scope, name = [unquote(part) for part in rest.split("/") if part] or [""]
    if not name:
        return None
    return Parts(
        type=kind,
        namespace="/".join(scope),
        name=name,
        version=version,
        qualifiers=_qualifiers(query) if query else {},
        subpath="/".join(unquote(part) for part in subpath.split("/") if part not in ("", ".", "..")),
    )


def _qualifiers(query: str) -> dict[str, str]:
    found = {}
    for pair in query.split("&"):
        key, _, value = pair.partition("=")
        key = key.lower()
        if value and _KEY(key):
            found[key] = unquote(value)
    return found


def to_package(purl: Parts, called: tuple[str, ...] = ()) -> Package:
    """The package that a purl names: what ``of_package`` gives, turned round as far as that can be.

    ``called`` are other spellings of its name, of which one that differs in case or punctuation alone is right:
    purls of some types are written in lower case, and names are kept as found.
    """
    separator = ":" if purl.type == "maven" else "/"
    name, version, qualifiers = purl.name, purl.version, purl.qualifiers
    if purl.namespace and purl.type not in _NAMED_ALONE:
        name = f"{purl.namespace}{separator}{name}"
    source_name = source_version = ""
    match purl.type:
        case "oci":
            name = qualifiers.get("repository_url", name)
            version = qualifiers.get("tag", version)
        case "cocoapods" if purl.subpath:
            name = f"{name}/{purl.subpath}"
        case "rpm" if qualifiers.get("epoch", "0") != "0":
            version = f"{qualifiers['epoch']}:{version}"
    if purl.type in OPERATING_SYSTEM_TYPES:
        source_name, _, source_version = qualifiers.get("upstream", "").partition("@")
    for spelling in called:
        if spelling != name and _alike(purl.type, spelling, name):
            name = spelling
            break
    return Package(
        type=purl.type,
        name=name,
        version=version,
        arch=qualifiers.get("arch", ""),
        source_name=source_name,
        source_version=source_version,
    )


def _alike(kind: str, one: str, other: str) -> bool:
    if kind in ("pypi", "swift"):
        return normalize(kind, one) == normalize(kind, other)
    return one.casefold() == other.casefold()


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
    """The parts of a purl, its name as names of its type are compared; None where it is none."""
    parts = take_apart(text)
    if parts is None:
        return None
    kind = parts.type
    name = normalize(kind, f"{parts.namespace}/{parts.name}" if parts.namespace else parts.name)
    if kind in _FOLDED:
        name = name.lower()
    return Purl(kind, name, parts.version, parts.qualifiers, parts.subpath)


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
    return _text(package.type, scope, name, package.version)


def _operating_system(package: Package, distribution: Distribution | None) -> str:
    scope, release = "", ""
    if distribution:
        scope, release = distribution.id, distribution.version_id or distribution.codename
    kind, name = package.type, package.name
    end = _end(
        kind, package.version, package.arch, scope, release, package.source_name, package.source_version
    )
    if not name:
        return _text(kind, scope, name) + end
    return f"{_begin(kind, scope)}{name if _PLAIN(name) else _quote(name)}{end}"


@lru_cache(1024)
def _begin(kind: str, scope: str) -> str:
    return f"pkg:{kind}{_path(scope)}/"


@lru_cache(1 << 10)  # what was built from one source ends alike
def _end(
    kind: str, version: str, arch: str, scope: str, release: str, source: str, source_version: str
) -> str:
    epoch = ""
    if kind == "rpm" and ":" in version:
        epoch, _, version = version.partition(":")
    qualifiers = (
        ("arch", arch),
        ("distro", f"{scope}-{release}" if scope and release else scope or release),
        ("epoch", "" if epoch == "0" else epoch),
        ("upstream", f"{source}@{source_version}" if source and source_version else source),
    )
    return _after_name(version, qualifiers)


def _container(package: Package) -> str:
    """A container image by the tag of its build: its digest is not in the image."""
    scope, _, name = package.name.rpartition("/")
    qualifiers = (
        ("arch", package.arch),
        ("repository_url", package.name if scope else ""),
        ("tag", package.version),
    )
    return _text("oci", "", name, "", qualifiers)


def _text(
    kind: str, scope: str, name: str, version: str = "", qualifiers: tuple[tuple[str, str], ...] = ()
) -> str:
    """The whole. ``qualifiers`` are in the order of their keys; those without a value are left out."""
    text = f"pkg:{kind}{_path(scope) if scope else ''}"
    if name or not scope:
        text += "/" + _quote(name)
    return text + _after_name(version, qualifiers) if version or qualifiers else text


def _after_name(version: str, qualifiers: tuple[tuple[str, str], ...]) -> str:
    text = "@" + _quote(version) if version else ""
    mark = "?"
    for key, value in qualifiers:
        if value:
            text += f"{mark}{key}={_quote(value)}"
            mark = "&"
    return text


@lru_cache(1024)
def _path(scope: str) -> str:
    return "".join([f"/{_quote(part)}" for part in scope.split("/") if part])


def _quote(text: str) -> str:
    """Percent-encoded, but for letters, digits, ``.-_~`` and the colon, which the specification leaves."""
    if _PLAIN(text):
        return text
    return quote(text, safe=":", errors="replace")
