"""Has the collector's probe built when a wheel is, where clang is there. A wheel without it says so when it is used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ProbeHook(BuildHookInterface):  # type: ignore[type-arg]
    """Called by hatchling, for wheels and editable installations."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build it first."""
        script = Path(self.root) / "scripts" / "make_probe.py"
        done = subprocess.run([sys.executable, str(script), "--if-possible"], capture_output=True, text=True)
        if version == "standard" and (said := done.stderr.strip()):
            self.app.display_warning(said)
