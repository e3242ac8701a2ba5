"""How every test runs."""

from __future__ import annotations

import os

from hypothesis import settings

# Fixtures that tests of several rooms use.
pytest_plugins = ["support.kube", "support.postgres"]

# CI asks the same questions every time, so that a change is judged and not its luck; people's runs go on
# searching. What they find becomes a test of its own.
# No test asserts a time, so an example has no deadline either.
settings.register_profile("ci", derandomize=True, deadline=None)
settings.register_profile("people", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "people")
