"""How every test runs."""

from __future__ import annotations

import os

from hypothesis import settings

from redoubt.wire import ports

# Fixtures that tests of several rooms use.
pytest_plugins = ["support.kube", "support.postgres"]

# Tests that run at once take free ports of their own, for what listens only some seconds later.
_worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
ports._OURS = ports._OURS[int(_worker) :: int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))]

# CI asks the same questions every time, so that a change is judged and not its luck; people's runs go on
# searching. What they find becomes a test of its own.
# No test asserts a time, so an example has no deadline either.
settings.register_profile("ci", derandomize=True, deadline=None)
settings.register_profile("people", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "people")
