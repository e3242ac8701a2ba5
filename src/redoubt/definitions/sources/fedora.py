"""The source about Fedora."""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from redoubt.definitions.feeds.fedora import FedoraFeed
from redoubt.definitions.feeds.interface import UNDECODABLE
from redoubt.definitions.sources.interface import Discovered, Download, Get, Source
from redoubt.errors import RedoubtError

_BODHI = "https://bodhi.fedoraproject.org"
_RELEASES = f"{_BODHI}/releases/?exclude_archived=True&rows_per_page=100"
_UPDATES = f"{_BODHI}/updates/?releases=F{{}}&status=stable&type=security&rows_per_page=100&page={{}}"
_NAME = re.compile(r"F(\d{1,3})")
_MAX_PAGES = 500


class _Release(msgspec.Struct):
    name: str = ""


class _Releases(msgspec.Struct):
    releases: list[_Release]


class _First(msgspec.Struct):
    pages: int


_decode_releases = msgspec.json.Decoder(_Releases).decode
_decode_first = msgspec.json.Decoder(_First).decode


def discover(get: Get) -> Discovered:
    """The pages of every release that Bodhi has not archived: its first page says how many there are."""
    troubles: list[str] = []
    downloads: list[Download] = []
    for number in _releases(get, troubles):
        first = _UPDATES.format(number, 1)
        try:
            pages = _decode_first(get(first)).pages
        except RedoubtError as error:
            troubles.append(str(error))
            continue
        except UNDECODABLE as error:
            troubles.append(f"{_BODHI}/updates/ of Fedora {number} is no page of updates: {error}")
            continue
        if pages > _MAX_PAGES:
            troubles.append(f"{_BODHI}/updates/ of Fedora {number} has more than {_MAX_PAGES} pages")
        downloads += _pages(number, min(pages, _MAX_PAGES))
    return Discovered(tuple(downloads), tuple(troubles))


def _pages(number: str, pages: int) -> Iterator[Download]:
    for page in range(1, pages + 1):
        yield Download(f"fedora/{number}/page-{page:03}.json", _UPDATES.format(number, page))


def _releases(get: Get, troubles: list[str]) -> list[str]:
    try:
        releases = _decode_releases(get(_RELEASES)).releases
    except RedoubtError as error:
        troubles.append(str(error))
    except UNDECODABLE as error:
        troubles.append(f"{_BODHI}/releases/ is not Bodhi's list of releases: {error}")
    else:
        found = {match[1] for release in releases if (match := _NAME.fullmatch(release.name))}
        return sorted(found, key=int)
    return []


SOURCES: tuple[Source, ...] = (
    Source(
        name="fedora",
        title="Fedora security updates (Bodhi)",
        home="https://bodhi.fedoraproject.org/",
        licence="published without a licence of its own",
        attribution="Fedora security updates, by the Fedora Project",
        feed=FedoraFeed(),
        downloads=(),
        patterns=(("fedora/*/page-*.json",),),
        limit=64 << 20,
        discover=discover,
    ),
)
