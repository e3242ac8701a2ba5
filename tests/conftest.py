"""How every test runs."""

from __future__ import annotations

import os

from hypothesis import settings

# CI asks the same questions every time, so that a change is judged and not its luck; people's runs go on
# searching. What they find becomes a test of its own.
settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")
