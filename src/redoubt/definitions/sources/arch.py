"""The source about Arch Linux."""

from __future__ import annotations

from redoubt.definitions.feeds.arch import ArchFeed
from redoubt.definitions.sources.interface import Download, Source

SOURCES: tuple[Source, ...] = (
    Source(
        name="arch",
        title="Arch Linux security tracker",
        home="https://security.archlinux.org/",
        licence="published without a licence of its own",
        attribution="Arch Linux security tracker, by the Arch Linux security team",
        feed=ArchFeed(),
        downloads=(Download("arch/all.json", "https://security.archlinux.org/all.json"),),
        patterns=(("arch/all.json",),),
        limit=64 << 20,
    ),
)
