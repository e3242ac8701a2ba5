"""Makes the starter definitions: ``make starter MIRROR=DIR``.

Facts only (identifiers, names, ranges, fixed versions, severities, dates, links), signed with a key that is
made for this one bundle and thrown away with the temporary folder: nobody can sign another that the
root shipped beside it would accept.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from redoubt.definitions.build import build
from redoubt.definitions.keys import keygen, load_key
from redoubt.definitions.mirror import Mirror
from redoubt.definitions.publish import publish
from redoubt.definitions.trust import STARTER_CHANNEL, STARTER_ROOT

TARGET = STARTER_ROOT.parent
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
    now = datetime.now(UTC)
    with tempfile.TemporaryDirectory() as temporary:
        keys, bundle = Path(temporary) / "keys", Path(temporary) / "starter.zip"
        keygen(keys, now)
        with build(Mirror(mirror), SOURCES, facts_only=True) as built:
            publish(built, bundle, [load_key(keys)], channel=STARTER_CHANNEL, now=now)
        if (size := bundle.stat().st_size) >= LIMIT:
            print(f"starter: {size:,} bytes is over the limit of {LIMIT:,}", file=sys.stderr)
            return 1
        TARGET.mkdir(exist_ok=True)
        shutil.copyfile(bundle, TARGET / "starter.zip")
        shutil.copyfile(keys / "root.json", STARTER_ROOT)
        print(f"{TARGET / 'starter.zip'}: {size:,} bytes")
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_dir():
        sys.exit("usage: make starter MIRROR=DIR    (a folder in the layout of docs/sources.md)")
    sys.exit(main(Path(sys.argv[1])))
