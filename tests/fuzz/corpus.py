"""The kept corpus: inputs that fuzzing found, a zip for each target. All of them were made here.

    python tests/fuzz/corpus.py TARGET FOLDER     keep what FOLDER holds (minimise it first: -merge=1)

Inputs beyond ``LIMIT`` bytes together are left out, the largest first: the corpus is for guarding, in every
test run, what was once reached, and small inputs reach the same lines.
"""

from __future__ import annotations

import hashlib
import sys
import zipfile
from pathlib import Path

FOLDER = Path(__file__).parent / "corpus"
LIMIT = 400_000


def kept(target: str) -> list[bytes]:
    """The inputs that are kept for a target."""
    path = FOLDER / f"{target.replace(':', '-')}.zip"
    if not path.exists():
        return []
    with zipfile.ZipFile(path) as archive:
        return [archive.read(name) for name in archive.namelist()]


def keep(target: str, folder: Path) -> int:
    """Add what ``folder`` holds to the kept inputs of ``target``; how many there are now."""
    inputs = {*kept(target), *(file.read_bytes() for file in folder.iterdir() if file.is_file())}
    FOLDER.mkdir(exist_ok=True)
    left, count = LIMIT, 0
    with zipfile.ZipFile(FOLDER / f"{target.replace(':', '-')}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for data in sorted(inputs, key=lambda data: (len(data), data)):
            left -= len(data)
            if left < 0:
                break
            # A fixed time: the same inputs are the same file.
            archive.writestr(
                zipfile.ZipInfo(hashlib.sha256(data).hexdigest()[:16]), data, zipfile.ZIP_DEFLATED
            )
            count += 1
    return count


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    print(keep(sys.argv[1], Path(sys.argv[2])))
