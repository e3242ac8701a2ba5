"""Kernel support packages: probes for Collectors of secured clusters of version 4.4 and earlier. Deprecated."""

from __future__ import annotations

DEPRECATION = (
    "Kernel support packages are deprecated and have no effect on secured clusters of version 4.5 and later; "
    "only those of version 4.4 and earlier use them."
)
