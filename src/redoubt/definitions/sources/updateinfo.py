"""The sources about distributions whose repositories say themselves what they repair (``updateinfo.xml``)."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from itertools import product

import msgspec

from redoubt.definitions.feeds.amazon import AmazonFeed
from redoubt.definitions.feeds.bottlerocket import BottlerocketFeed
from redoubt.definitions.feeds.interface import UNDECODABLE
from redoubt.definitions.feeds.rocky import RockyFeed
from redoubt.definitions.sources import repomd
from redoubt.definitions.sources.interface import Discovered, Download, Get, Source
from redoubt.errors import RedoubtError

#: Of a repository for x86_64 the updateinfo speaks of every architecture.
_AMAZON = {
    "amazon/1/updates": "http://repo.us-west-2.amazonaws.com/2018.03/updates/x86_64/mirror.list",
    "amazon/2/core": "https://cdn.amazonlinux.com/2/core/latest/x86_64/mirror.list",
    "amazon/2022/core": "https://cdn.amazonlinux.com/al2022/core/mirrors/latest/x86_64/mirror.list",
    "amazon/2023/core": "https://cdn.amazonlinux.com/al2023/core/mirrors/latest/x86_64/mirror.list",
    "amazon/2023/kernel-livepatch": (
        "https://cdn.amazonlinux.com/al2023/kernel-livepatch/mirrors/latest/x86_64/mirror.list"
    ),
}
#: Releases whose repositories may be gone one day.
_ENDED = ("amazon/1/", "amazon/2022/")
_EXTRAS = "https://cdn.amazonlinux.com/2/extras-catalog.json"
_EXTRA = "https://cdn.amazonlinux.com/2/extras/{}/latest/x86_64/mirror.list"
_TOPIC = re.compile(r"(?!\.)[\w.+-]{1,80}", re.ASCII)
_MAX_TOPICS = 300

#: Releases that ended lie in the vault, today's in ``pub``; either has a folder a minor release.
_ROCKY = ("https://download.rockylinux.org/pub/rocky/", "https://dl.rockylinux.org/vault/rocky/")
_ROCKY_REPOSITORIES = ("BaseOS", "AppStream", "extras", "PowerTools", "CRB")
_ROCKY_ARCHES = ("x86_64", "aarch64")
_MINOR = re.compile(rb'href="/?(?:[\w./-]*/)?(\d{1,2}\.\d{1,2})/?"')
_MAX_MINORS = 60


class _Topic(msgspec.Struct):
    n: str = ""


class _Catalog(msgspec.Struct):
    topics: list[_Topic]


_decode_catalog = msgspec.json.Decoder(_Catalog).decode


class _Search:
    """Gathers what is found; a repository that cannot be asked costs only itself."""

    def __init__(self, get: Get) -> None:
        self.get = get
        self._found: dict[str, Download] = {}
        self.troubles: list[str] = []

    def mirrored(self, folder: str, mirror_list: str, *, optional: bool = False) -> None:
        """Look for the updateinfo of the repository that a ``mirror.list`` points to."""
        path = f"{folder}/updateinfo.xml.gz"
        self._note(partial(repomd.of_mirrors, self.get, path, mirror_list, "x86_64"), optional)

    def repository(self, folder: str, url: str) -> None:
        """Look for the updateinfo of a repository that need not be there, unless it was found elsewhere."""
        path = f"{folder}/updateinfo.xml.gz"
        if path not in self._found:
            self._note(partial(repomd.of_repository, self.get, path, url), True)

    def _note(self, ask: Callable[[], Download | None], optional: bool) -> None:
        try:
            found = ask()
        except RedoubtError as error:
            if not (optional and isinstance(error, repomd.ABSENT)):
                self.troubles.append(str(error))
            return
        if found:
            self._found.setdefault(found.path, found)

    def result(self) -> Discovered:
        return Discovered(tuple(self._found.values()), tuple(self.troubles))


def discover_amazon(get: Get) -> Discovered:
    """Every repository of Amazon Linux, and of Amazon Linux 2 every topic that its catalogue of extras names."""
    search = _Search(get)
    for folder, mirror_list in _AMAZON.items():
        search.mirrored(folder, mirror_list, optional=folder.startswith(_ENDED))
    for topic in _topics(search):
        search.mirrored(f"amazon/2/extras/{topic}", _EXTRA.format(topic), optional=True)
    return search.result()


def _topics(search: _Search) -> list[str]:
    try:
        topics = {topic.n for topic in _decode_catalog(search.get(_EXTRAS)).topics}
    except RedoubtError as error:
        search.troubles.append(str(error))
    except UNDECODABLE as error:
        search.troubles.append(f"{_EXTRAS} is not the catalogue of extras: {error}")
    else:
        return sorted(topic for topic in topics if _TOPIC.fullmatch(topic))[:_MAX_TOPICS]
    return []


def discover_rocky(get: Get) -> Discovered:
    """Every repository of every minor release, today's and those in the vault."""
    search = _Search(get)
    for base in _ROCKY:
        try:
            minors = {minor.decode() for minor in _MINOR.findall(get(base))}
        except RedoubtError as error:
            search.troubles.append(str(error))
            continue
        if not minors:
            search.troubles.append(f"{base} lists no release")
        for minor in sorted(minors)[:_MAX_MINORS]:
            for repository, arch in product(_ROCKY_REPOSITORIES, _ROCKY_ARCHES):
                folder = f"{minor}/{repository}/{arch}"
                search.repository(f"rocky/{folder}", f"{base}{folder}/os/")
    return search.result()


SOURCES: tuple[Source, ...] = (
    Source(
        name="amazon",
        title="Amazon Linux security advisories (updateinfo of its repositories)",
        home="https://alas.aws.amazon.com/",
        licence="published without a licence of its own",
        attribution="Amazon Linux Security Advisories, by Amazon Web Services",
        feed=AmazonFeed(),
        downloads=(),
        patterns=(("amazon/*/**/updateinfo.xml*", "amazon/*/**/[!.]*-updateinfo.xml*"),),
        discover=discover_amazon,
    ),
    Source(
        name="rocky",
        title="Rocky Linux errata (updateinfo of its repositories)",
        home="https://errata.rockylinux.org/",
        licence="published without a licence of its own",
        attribution="Rocky Linux errata, by the Rocky Enterprise Software Foundation",
        feed=RockyFeed(),
        downloads=(),
        patterns=(("rocky/*/**/updateinfo.xml*", "rocky/*/**/[!.]*-updateinfo.xml*"),),
        discover=discover_rocky,
    ),
    Source(
        name="bottlerocket",
        title="Bottlerocket security advisories",
        home="https://github.com/bottlerocket-os/bottlerocket/security/advisories",
        licence="published without a licence of its own",
        attribution="Bottlerocket security advisories, by Amazon Web Services",
        feed=BottlerocketFeed(),
        downloads=(
            Download(
                "bottlerocket/updateinfo.xml.gz", "https://advisories.bottlerocket.aws/updateinfo.xml.gz"
            ),
        ),
        patterns=(("bottlerocket/updateinfo.xml*",),),
        limit=256 << 20,
    ),
)
