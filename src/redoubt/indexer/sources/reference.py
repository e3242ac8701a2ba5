"""How an image is named in a registry: ``[host[:port]/]repository[:tag][@digest]``.

The grammar is that of the reference package of the distribution project (``reference.go``), with Docker's
rule for names without a host. It must not know how a registry is spoken to.
"""

from __future__ import annotations

import re

import msgspec

from redoubt.errors import UsageError
from redoubt.model.workload import ImageName

DOCKER_HUB = "docker.io"
_DOCKER_HUB_API = "registry-1.docker.io"
_MAX_NAME = 255

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}\Z")
#: Digests of other algorithms, which nothing here is looked up by: container runtimes pull by them.
_OTHER_DIGEST = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9A-Fa-f]{32,}\Z")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}\Z")
_LABEL = r"(?:[A-Za-z0-9]|[A-Za-z0-9][A-Za-z0-9-]*[A-Za-z0-9])"
_HOST = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9A-Fa-f:.]+\])(?::[0-9]{{1,5}})?\Z")
_COMPONENT = r"[a-z0-9]+(?:(?:[_.]|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*\Z")


class ImageReference(msgspec.Struct, frozen=True, kw_only=True):
    """A name, taken apart. ``host`` has its port (``docker.io`` where none was written)."""

    host: str
    repository: str
    tag: str = ""
    digest: str = ""

    @property
    def api_host(self) -> str:
        """The host that answers for ``host``, with its port."""
        return _DOCKER_HUB_API if self.host == DOCKER_HUB else self.host

    @property
    def name(self) -> str:
        """What a manifest is asked for by: the digest, else the tag."""
        return self.digest or self.tag

    @property
    def loopback(self) -> bool:
        """Whether the host is this machine itself."""
        bare = host_name(self.host)
        return bare == "localhost" or bare == "::1" or bool(re.fullmatch(r"127(\.\d{1,3}){3}", bare))

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.host}/{self.repository}{tag}{digest}"


def of_openshift(reference: ImageReference) -> bool:
    """Whether an image is in OpenShift's own registry, under the name that it has within its cluster: in each cluster it is another."""
    return host_name(reference.host).removesuffix(".cluster.local") in (
        "image-registry.openshift-image-registry.svc",
        "docker-registry.default.svc",
    )


def host_name(host: str) -> str:
    """``host`` without its port and brackets, lower-case."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()


def is_digest(text: str) -> bool:
    """Whether ``text`` is a digest as this program reads them: ``sha256:`` and 64 lower-case hex digits.

    The strictness is what makes it safe to build a path or a URL from one.
    """
    return _DIGEST.match(text) is not None


def parse_reference(text: str) -> ImageReference:
    """Take a reference apart. ``alpine`` is ``docker.io/library/alpine:latest``.

    Raises ``UsageError`` for what the grammar does not allow.
    """
    name, at, digest = text.partition("@")
    if at and not is_digest(digest):
        raise _refused(text, "its digest is not sha256: and 64 lower-case hexadecimal digits")
    tag = ""
    colon = name.rfind(":")
    if colon > name.rfind("/"):
        name, tag = name[:colon], name[colon + 1 :]
        if not _TAG.match(tag):
            raise _refused(text, "its tag is not one (letters, digits, '_', '.', '-'; at most 128)")
    host, repository = _split_host(name)
    if not _HOST.match(host) or not _port_fits(host):
        raise _refused(text, f"{host!r} is not a host")
    if not _REPOSITORY.match(repository):
        hint = "; repositories are lower-case" if repository != repository.lower() else ""
        raise _refused(text, f"{repository!r} is not a repository{hint}")
    if len(repository) > _MAX_NAME:
        raise _refused(text, f"its repository is longer than {_MAX_NAME} characters")
    return ImageReference(
        host=host, repository=repository, tag=tag or ("" if digest else "latest"), digest=digest
    )


def named(text: str) -> ImageName:
    """An image's name taken apart, as policies look at it; of what is none there is the text only."""
    name, at, digest = text.partition("@")
    other = bool(at) and not is_digest(digest) and _OTHER_DIGEST.match(digest) is not None
    try:
        if other:  # whose registry it is can be said, though it is never found by that digest
            reference = msgspec.structs.replace(parse_reference(f"{name}@sha256:{'0' * 64}"), digest=digest)
        else:
            reference = parse_reference(text)
    except UsageError:
        return ImageName(full_name=text)
    return ImageName(
        registry=reference.host, remote=reference.repository, tag=reference.tag, full_name=str(reference)
    )


def _split_host(name: str) -> tuple[str, str]:
    """Docker's rule: what precedes the first slash is a host if it has a dot or a colon, or is localhost."""
    first, slash, rest = name.partition("/")
    if not slash or not ("." in first or ":" in first or first == "localhost" or first != first.lower()):
        host, repository = DOCKER_HUB, name
    else:
        host, repository = first, rest
    if host == "index.docker.io":
        host = DOCKER_HUB
    if host == DOCKER_HUB and repository and "/" not in repository:
        repository = f"library/{repository}"
    return host, repository


def _port_fits(host: str) -> bool:
    after = host.rpartition("]")[2] if host.startswith("[") else host
    port = after.rpartition(":")[2] if ":" in after else "1"
    return 0 < int(port) < 65536


def _refused(text: str, why: str) -> UsageError:
    shown = text if len(text) <= 120 else text[:117] + "..."
    return UsageError(f"{shown!r} is not an image reference: {why}")
