"""Policies as custom resources of Kubernetes: ``SecurityPolicy`` of ``config.stackrox.io/v1alpha1``, as YAML. Pure.

What the custom resource has no field for (identifiers, locks, internal fields) is left out, and so is what has its default.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterable
from typing import Any

import msgspec

from redoubt.policies.policy import Policy

#: Characters of an object's name (RFC 1123).
_LONGEST = 253
#: In the order in which people read them; the policy's name is ``policyName`` there.
_FIELDS = (
    *("description", "rationale", "remediation", "disabled", "categories", "lifecycleStages", "eventSource"),
    *("exclusions", "scope", "severity", "enforcementActions", "notifiers", "policySections"),
    *("mitreAttackVectors", "evaluationFilter"),
)
#: Of every file in an archive: the same policies are the same bytes.
_MOMENT = (1980, 1, 1, 0, 0, 0)


def resource(policy: Policy) -> dict[str, Any]:
    """The object."""
    given = msgspec.to_builtins(policy, builtin_types=())
    spec = {"policyName": policy.name} | {
        field: kept for field in _FIELDS if (kept := _kept(given.get(field))) not in (None, "", False, [], {})
    }
    return {
        "apiVersion": "config.stackrox.io/v1alpha1",
        "kind": "SecurityPolicy",
        "metadata": {"name": object_name(policy.name)},
        "spec": spec,
    }


def archive(policies: Iterable[Policy]) -> bytes:
    """A zip of them, a YAML file each, called by their names."""
    import yaml

    taken: set[str] = set()
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as made:
        for policy in policies:
            found = resource(policy)
            name = found["metadata"]["name"]
            if name in taken:
                name = found["metadata"]["name"] = object_name(f"{name[: _LONGEST - 37]}-{policy.id[:36]}")
            taken.add(name)
            text = yaml.safe_dump(found, sort_keys=False, allow_unicode=True, width=120)
            made.writestr(zipfile.ZipInfo(f"{name}.yaml", _MOMENT), text)
    return content.getvalue()


def object_name(name: str) -> str:
    """A policy's name as an object's: lower case, digits, ``-`` and ``.``."""
    found = re.sub(r"[.-]{2,}", "-", re.sub(r"[^a-z0-9.-]", "-", name.lower()))[:_LONGEST].strip("-.")
    return found or "policy"


def _kept(value: Any) -> Any:
    """Without what says nothing, at any depth; texts and numbers as they are."""
    if isinstance(value, dict):
        return {
            key: kept for key, each in value.items() if (kept := _kept(each)) not in (None, "", False, [], {})
        }
    if isinstance(value, (list, tuple)):
        return [_kept(each) for each in value]
    return value
