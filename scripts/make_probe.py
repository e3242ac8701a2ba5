"""Builds the collector's probe: ``python scripts/make_probe.py [--if-possible] [OUTPUT]``.

Needs clang with its BPF back-end and libbpf's headers, nothing of any kernel. The same sources and the same clang give
the same bytes, wherever they lie.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "src" / "redoubt" / "collector" / "probe"
SOURCE = "probe.bpf.c"
OBJECT = FOLDER / "probe.bpf.o"

#: `-g` is for BTF, which the loader fits field accesses by; clang has no BTF without it.
FLAGS = ["-O2", "-g", "-target", "bpf", "-mcpu=v3", "-Wall", "-Werror", "-fdebug-compilation-dir=."]


def build(output: Path = OBJECT) -> None:
    """Compile into ``output``, whole or not at all. Raises ``RuntimeError`` with what is missing, or what clang says."""
    clang = shutil.which("clang")
    if clang is None:
        raise RuntimeError("clang is not installed (Debian: clang, libbpf-dev)")
    define = f'-DPROBE_VERSION="{version()}"'
    unfinished = output.with_name(f".{output.name}.new")
    try:
        done = subprocess.run(
            [clang, *FLAGS, define, "-c", SOURCE, "-o", str(unfinished)],
            cwd=FOLDER,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise RuntimeError(done.stderr.strip() or f"clang ended with {done.returncode}")
        unfinished.replace(output)
    finally:
        unfinished.unlink(missing_ok=True)


def version() -> str:
    """The SHA-256 of what it is made of, as ``redoubt.collector.kernelprobes`` knows it."""
    hashed = hashlib.sha256()
    for path in sorted(FOLDER.glob("*.[ch]"), key=lambda each: each.name):
        data = path.read_bytes()
        hashed.update(f"{path.name} {len(data)}\n".encode() + data)
    return hashed.hexdigest()


def stale() -> bool:
    """Whether the object is missing, or older than what it is made of."""
    if not OBJECT.exists():
        return True
    made = OBJECT.stat().st_mtime
    return any(path.stat().st_mtime > made for path in [*FOLDER.glob("*.[ch]"), Path(__file__)])


def main(arguments: list[str]) -> int:
    """The command."""
    optional = "--if-possible" in arguments
    named = [Path(each) for each in arguments if not each.startswith("-")]
    if not named and not stale():
        return 0
    try:
        build(named[0].resolve() if named else OBJECT)
    except RuntimeError as error:
        print(f"The collector's probe is not built: {error}", file=sys.stderr)
        return 0 if optional else 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
