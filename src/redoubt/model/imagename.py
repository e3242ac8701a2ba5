"""What an image is called outside this house: by digest, by repository, as a purl. Pure text."""

from __future__ import annotations

import re
from urllib.parse import quote

from redoubt.model.image import Image

_PREFIXES = ("docker-archive:", "oci-archive:", "oci-dir:", "docker://", "registry:", "dir:", "sbom:")
_HUB = "docker.io"
_HUBS = frozenset({_HUB, "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"})
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def bare(image: Image) -> str:
    """What the user typed, without the prefix that says which source is meant."""
    for prefix in _PREFIXES:
        if image.reference.startswith(prefix):
            return image.reference[len(prefix) :]
    return image.reference


def digests(image: Image) -> tuple[str, ...]:
    """Every digest that names it, its manifest's first; that of an index it was chosen from where the user typed it."""
    typed = image.reference.rpartition("@")[2]
    found = (image.digest, image.config_digest, typed if _DIGEST.fullmatch(typed) else "")
    return tuple(dict.fromkeys(digest for digest in found if digest))


def repository(image: Image) -> str:
    """``host/path`` for an image of a registry, ``docker.io`` where none was written; empty for others."""
    if image.kind != "registry":
        return ""
    return canonical(_apart(image)[0])


def tag(image: Image) -> str:
    """The tag of an image of a registry, ``latest`` where neither tag nor digest was written; empty for others."""
    if image.kind != "registry":
        return ""
    return _apart(image)[1] or ("" if "@" in image.reference else "latest")


def canonical(repository: str) -> str:
    """A repository with its host, in one of the ways to write it."""
    name = repository.partition("://")[2] or repository
    host, slash, rest = name.strip("/").partition("/")
    if host.lower() in _HUBS:
        host = _HUB
    elif "." not in host and ":" not in host and host != "localhost":
        host, slash, rest = _HUB, "/", name.strip("/")
    if host == _HUB and rest and "/" not in rest:
        rest = f"library/{rest}"
    return f"{host.lower()}{slash}{rest}"


def purl(image: Image) -> str:
    """``pkg:oci/shop@sha256:…`` (purl-spec, "oci") by the manifest's digest; empty where that is not known.

    ``repository_url`` is there for an image of a registry. The tag is not: it may name another image tomorrow.
    """
    if not image.digest:
        return ""
    where = repository(image)
    name = where.rpartition("/")[2] or re.split(r"[:@]", bare(image).rstrip("/").rpartition("/")[2])[0]
    text = f"pkg:oci/{quote(name.lower() or 'image', safe='')}@{quote(image.digest, safe=':')}"
    return f"{text}?repository_url={quote(where, safe=':/')}" if where else text


def iri(image: Image) -> str:
    """A name for an image without a purl: its image ID, else where it lay (``dir:/mnt/root``)."""
    return image.config_digest or f"{image.kind}:{quote(bare(image), safe='/', errors='replace')}"


def _apart(image: Image) -> tuple[str, str]:
    name = bare(image).partition("@")[0]
    head, colon, last = name.rpartition(":")
    return (head, last) if colon and "/" not in last else (name, "")
