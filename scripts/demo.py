"""`make demo`: build an image out of real packages, import the starter definitions, scan, show the result.

Everything that is typed is shown, so that a reader can go on by hand. State stays below the folder given.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import demo_image


def main(folder: Path) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    print("Building an image out of real, outdated packages (fetched by name and hash, never run):")
    try:
        image = demo_image.build(folder / "packages")
    except demo_image.LeftOut as reason:
        print(f"demo: {reason}", file=sys.stderr)
        return 6
    archive = image.write_docker_archive(folder / "shop.tar", tag="shop:demo")
    print(f"  written to {archive}: {len(image.tars)} layers, {archive.stat().st_size / 1e6:.0f} MB\n")

    state = folder.absolute()
    environment = os.environ | {
        "REDOUBT_DATA_DIR": str(state / "data"),
        "REDOUBT_CACHE_DIR": str(state / "cache"),
    }
    report = folder / "report.html"
    for words in (
        ["definitions", "import", "--starter"],
        ["scan", str(archive)],
        ["scan", str(archive), "--output-file", str(report)],
    ):
        print(f"$ redoubt {' '.join(words)}", flush=True)
        began = time.perf_counter()
        code = subprocess.run([_redoubt(), *words], env=environment, check=False).returncode
        if code:
            return code
        print(f"  ({time.perf_counter() - began:.2f} s)\n", flush=True)
    print(f"The same report for people who do not live in a terminal: {report}")
    print("Scan something of yours:")
    print(f"  export REDOUBT_DATA_DIR={state / 'data'}")
    print(f"  {_redoubt()} scan IMAGE.tar        (or registry/name:tag, an OCI layout, a root folder)")
    return 0


def _redoubt() -> str:
    return str(Path(sys.executable).with_name("redoubt"))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else "build/demo")))
