"""The policies that every Central has from its first start, as files of the original's form beside this one.

Names, identifiers, severities, stages and criteria are those of StackRox's default policies, so that alerts, exclusions
and scripts that speak of them mean the same here. Their texts are ours. They can be disabled and not deleted.
"""

from __future__ import annotations

import functools
from importlib import resources

from redoubt.policies.policy import Policy, read


@functools.cache
def default_policies() -> tuple[Policy, ...]:
    """All of them, by name."""
    files = [entry for entry in resources.files(__name__).iterdir() if entry.name.endswith(".json")]
    return tuple(sorted((read(entry.read_bytes()) for entry in files), key=lambda policy: policy.name))
