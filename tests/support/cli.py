"""Runs the installed commands as a user would: a process, an environment, an exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Cli:
    """One user's home: commands run with it share definitions, trust and cache."""

    home: Path
    environment: dict[str, str] = field(default_factory=dict)
    prefix: tuple[str, ...] = ()

    def __call__(
        self, *words: str | Path, code: int = 0, stdin: str = "", program: str = "redoubt"
    ) -> subprocess.CompletedProcess[str]:
        """Run and demand the exit code; the failure shows what was printed."""
        done = subprocess.run(
            [*self.prefix, str(Path(sys.executable).with_name(program)), *map(str, words)],
            env=self.variables(),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == code, (
            f"exit code {done.returncode}, not {code}\n{done.stdout}\n{done.stderr}"
        )
        return done

    def variables(self) -> dict[str, str]:
        """The environment of the commands: this home, and nothing that the caller's shell configures."""
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("REDOUBT_", "XDG_"))
        }
        own = {
            "HOME": str(self.home),
            "REDOUBT_DATA_DIR": str(self.home / "data"),
            "REDOUBT_CACHE_DIR": str(self.home / "cache"),
        }
        return kept | own | self.environment

    def json(self, *words: str | Path, code: int = 0) -> Any:
        """Run with ``-o json`` and read the result."""
        return json.loads(self(*words, "-o", "json", code=code).stdout)


def findings(report: Any) -> set[tuple[str, str, str, str]]:
    """``(type, package, version, flaw)`` of a JSON report."""
    return {
        (package["type"], package["name"], package["version"], finding["id"])
        for package in report.get("packages", [])
        for finding in package["findings"]
    }


def coverage(report: Any) -> dict[str, str]:
    """``namespace or type → judged`` of a JSON report."""
    return {row["namespace"] or row["type"]: row["judged"] for row in report["coverage"]}
