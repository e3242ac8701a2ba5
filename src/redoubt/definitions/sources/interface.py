"""What a source is: one upstream, where its files lie, and which feed reads them. Knows no source by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from redoubt.definitions.feeds.files import Limits
from redoubt.definitions.feeds.interface import Feed


class Download(NamedTuple):
    """A file of a source: where it lies in a mirror folder, and where it comes from."""

    path: str
    url: str


class Discovered(NamedTuple):
    """What asking a source where its files are gave: ``downloads``, and why there may be more of them."""

    downloads: tuple[Download, ...]
    troubles: tuple[str, ...] = ()


#: The small document at a URL. Raises ``NetworkError`` (``egress.Missing`` where there is none), ``AccessDenied`` or
#: ``LimitExceeded``.
Get: TypeAlias = Callable[[str], bytes]


class Source(NamedTuple):
    """One upstream.

    ``name`` is what people type and what ``Advisory.source`` says. ``home`` is a page for people, and
    ``attribution`` the line that its licence asks for. ``downloads`` are what ``--online`` fetches, each at
    most ``limit`` bytes. ``patterns`` say where its files lie in a mirror folder: groups of globs, of which
    the first group that finds anything is read; ``limits`` what reading them may cost, where it is unusual.
    ``discover`` is for a source whose files have no address of their own: it asks for what says where they
    are today, with the function it is given, and answers with further downloads. It raises nothing that a
    part of the source's files can be had without. ``pause`` is how many seconds apart requests to its host
    begin at least.
    """

    name: str
    title: str
    home: str
    licence: str
    attribution: str
    feed: Feed
    downloads: tuple[Download, ...]
    patterns: tuple[tuple[str, ...], ...]
    limit: int = 1 << 30
    limits: Limits | None = None
    discover: Callable[[Get], Discovered] | None = None
    pause: float = 0.06
