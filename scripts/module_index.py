"""Writes docs/modules.md: every module and its purpose in one line, from the modules' own docstrings."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "modules.md"

HEAD = """# Modules

Made by `make modules` out of the modules' docstrings. The floors they stand on are in `architecture.md`.

| module | what it is for |
|---|---|
"""


def page() -> str:
    """The page as it should be. Raises ``ValueError`` for a module without a docstring."""
    lines = []
    for path in sorted((ROOT / "src" / "redoubt").rglob("*.py")):
        if path.stem.endswith(("_pb2", "_grpc")):
            continue  # written by `make protos`
        text = ast.get_docstring(ast.parse(path.read_text("utf-8")))
        name = str(path.relative_to(ROOT / "src")).removesuffix(".py").removesuffix("/__init__")
        if not text:
            if path.stat().st_size == 0:
                continue
            raise ValueError(f"{path}: no docstring")
        first = " ".join(text.split("\n\n")[0].split()).replace("|", "\\|")
        lines.append(f"| `{name.replace('/', '.')}` | {first} |")
    return HEAD + "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
    sys.exit(0)
