"""The kept corpus: inputs that fuzzing found, a zip for each target. All of them were made here.

    python tests/fuzz/corpus.py TARGET FOLDER     keep what FOLDER holds that reaches something new

Of the inputs, smallest first, those are kept that go from one line to another as none before them did, up to ``LIMIT`` bytes
together: the corpus is for guarding, in every test run, what was once reached.
"""

from __future__ import annotations

import hashlib
import os
import sys
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, TypeAlias

#: A function of ours, and a line in it that another one led to.
Step: TypeAlias = tuple[CodeType, int, int]

FOLDER = Path(__file__).parent / "corpus"
LIMIT = 100_000
_OURS = f"{os.sep}redoubt{os.sep}"


def kept(target: str) -> list[bytes]:
    """The inputs that are kept for a target."""
    path = FOLDER / f"{target.replace(':', '-')}.zip"
    if not path.exists():
        return []
    with zipfile.ZipFile(path) as archive:
        return [archive.read(name) for name in archive.namelist()]


def keep(target: str, run: Callable[[bytes], int], seeds: Iterable[bytes], folder: Path) -> int:
    """Add to the kept inputs of ``target`` what ``folder`` holds; how many there are now.

    Those that were kept before stay, whatever they reach by now: each was new once.
    """
    before = kept(target)
    reached: set[Step] = set().union(*(steps(run, data) for data in (*seeds, *before)))
    left, chosen = LIMIT - sum(map(len, before)), set(before)
    for data in sorted({file.read_bytes() for file in folder.iterdir() if file.is_file()}, key=_order):
        if data in chosen or len(data) > left:
            continue
        if more := steps(run, data) - reached:
            reached |= more
            left -= len(data)
            chosen.add(data)
    _write(target, chosen)
    return len(chosen)


def steps(run: Callable[[bytes], int], data: bytes) -> set[Step]:
    """Which lines of ours followed on which, while an input was read."""
    found: set[Step] = set()

    def trace(frame: FrameType, event: str, _: object) -> Any:
        if _OURS not in frame.f_code.co_filename:
            return None
        code, last = frame.f_code, 0

        def line(frame: FrameType, event: str, _: object) -> Any:
            nonlocal last
            if event == "line":
                found.add((code, last, frame.f_lineno))
                last = frame.f_lineno
            return line

        return line

    sys.settrace(trace)
    try:
        run(data)
    finally:
        sys.settrace(None)
    return found


def _order(data: bytes) -> tuple[int, bytes]:
    return len(data), data


def _write(target: str, inputs: Iterable[bytes]) -> None:
    FOLDER.mkdir(exist_ok=True)
    with zipfile.ZipFile(FOLDER / f"{target.replace(':', '-')}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for data in sorted(inputs, key=_order):
            # A fixed time: the same inputs are the same file.
            archive.writestr(
                zipfile.ZipInfo(hashlib.sha256(data).hexdigest()[:16]), data, zipfile.ZIP_DEFLATED
            )


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    _root = FOLDER.parents[2]
    sys.path[:0] = [str(_root / part) for part in ("tests/fuzz", "tests", "src", "scripts")]
    from targets import TARGETS

    _target = TARGETS[sys.argv[1]]
    print(keep(sys.argv[1], _target.run, _target.seeds(), Path(sys.argv[2])))
