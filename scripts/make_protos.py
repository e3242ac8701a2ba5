"""Write the Python stubs of the protocol definitions beside them: messages, their types, and gRPC's stubs.

``--check DIR`` writes them below DIR instead, for a comparison.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

SRC = Path(__file__).parent.parent / "src"
PROTOS = SRC / "redoubt/wire/proto/redoubt/v1"


def generate(out: Path) -> list[Path]:
    """Stubs below ``out``; their paths, relative to it. Raises ``SystemExit`` where a definition is wrong."""
    from grpc_tools import protoc

    files = sorted(str(path.relative_to(SRC)) for path in PROTOS.glob("*.proto"))
    wanted = [f"--{kind}_out={out}" for kind in ("python", "mypy", "grpclib_python")]
    programs = Path(sys.executable).parent
    plugins = [
        f"--plugin=protoc-gen-mypy={programs / 'protoc-gen-mypy'}",
        f"--plugin=protoc-gen-grpclib_python={programs / 'protoc-gen-grpclib_python'}",
    ]
    if protoc.main(["protoc", f"-I{SRC}", *plugins, *wanted, *files]):
        raise SystemExit("the protocol definitions cannot be read; see above")
    names = (name.removesuffix(".proto") for name in files)
    return [Path(f"{name}{end}") for name in names for end in ("_pb2.py", "_pb2.pyi", "_grpc.py")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", type=Path, default=SRC, metavar="DIR")
    generate(parser.parse_args().check)


if __name__ == "__main__":
    main()
