"""What a source is: one upstream, where its files lie, and which feed reads them. Knows no source by name."""

from __future__ import annotations

from typing import NamedTuple

from redoubt.definitions.feeds.files import Limits
from redoubt.definitions.feeds.interface import Feed


class Download(NamedTuple):
    """A file of a source: where it lies in a mirror folder, and where it comes from."""

    path: str
    url: str


class Source(NamedTuple):
    """One upstream.

    ``name`` is what people type and what ``Advisory.source`` says. ``home`` is a page for people, and
    ``attribution`` the line that its licence asks for. ``downloads`` are what ``--online`` fetches, each at
    most ``limit`` bytes. ``patterns`` say where its files lie in a mirror folder: groups of globs, of which
    the first group that finds anything is read; ``limits`` what reading them may cost, where it is unusual.
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
