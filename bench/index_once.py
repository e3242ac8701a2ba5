"""Index one target in a cold process and print what it took: the side of ``bench/index.py`` that is measured."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

import msgspec

from redoubt.indexer.cache import LayerCache
from redoubt.indexer.index import index_image
from redoubt.indexer.sources import open_source


def main() -> None:
    """``index_once.py TARGET [CACHE]``: the report as JSON on standard output."""
    target, *cache = sys.argv[1:]
    with open_source(target) as source:
        report = index_image(
            source, source.resolve(None), cache=LayerCache(Path(cache[0])) if cache else None
        )
    sys.stdout.buffer.write(msgspec.json.encode(report))


if __name__ == "__main__":
    main()
