"""Makes the starter definitions: ``make starter MIRROR=DIR``.

Facts only (identifiers, names, ranges, fixed versions, severities, dates, links), signed with a key that is
made for this one bundle and thrown away with the temporary folder: nobody can sign another that the
root shipped beside it would accept.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
TARGET = HERE / "src" / "redoubt" / "definitions" / "starter"
LIMIT = 10_000_000

#: All of ``docs/sources.md`` but Wolfi, whose licence lets nobody pass on what is made of it.
SOURCES = (
    "osv-pypi",
    "osv-go",
    "osv-crates.io",
    "osv-npm",
    "osv-maven",
    "osv-almalinux",
    "osv-bitnami",
    "debian",
    "alpine",
    "kev",
)


def main(mirror: Path) -> int:
    redoubt = str(Path(sys.executable).with_name("redoubt"))
    with tempfile.TemporaryDirectory() as temporary:
        keys, bundle = Path(temporary) / "keys", Path(temporary) / "starter.zip"
        run = [redoubt, "definitions", "keygen", "--out", str(keys)]
        subprocess.run(run, check=True)
        run = [redoubt, "definitions", "build", "--mirror", str(mirror), "--key", str(keys), "--facts-only"]
        subprocess.run(
            [*run, "--sources", ",".join(SOURCES), "--channel", "starter", "--out", str(bundle)], check=True
        )
        if (size := bundle.stat().st_size) >= LIMIT:
            print(f"starter: {size:,} bytes is over the limit of {LIMIT:,}", file=sys.stderr)
            return 1
        TARGET.mkdir(exist_ok=True)
        shutil.copyfile(bundle, TARGET / "starter.zip")
        shutil.copyfile(keys / "root.json", TARGET / "root.json")
        print(f"{TARGET / 'starter.zip'}: {size:,} bytes")
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_dir():
        sys.exit("usage: make starter MIRROR=DIR    (a folder in the layout of docs/sources.md)")
    sys.exit(main(Path(sys.argv[1])))
