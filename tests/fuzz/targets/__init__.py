"""Every parser that reads what a stranger wrote, as a function from bytes to how much was in them. Knows no fuzzer.

What may not happen: an exception that the parser does not answer for, a hang, or output that is not clean.
``run.py`` beside this folder drives them with atheris; the tests replay the kept corpus without it.
"""

from __future__ import annotations

from targets import (
    admission,
    catalogers,
    central,
    clusters,
    collecting,
    containers,
    definitions,
    documents,
    networkpolicies,
    policies,
    roxctl,
    sboms,
    sensing,
    services,
    stackrox,
    vex,
    wire,
)
from targets.interface import Target

TARGETS: dict[str, Target] = {
    **admission.TARGETS,
    **catalogers.TARGETS,
    **central.TARGETS,
    **clusters.TARGETS,
    **collecting.TARGETS,
    **containers.TARGETS,
    **definitions.TARGETS,
    **documents.TARGETS,
    **networkpolicies.TARGETS,
    **policies.TARGETS,
    **roxctl.TARGETS,
    **sboms.TARGETS,
    **sensing.TARGETS,
    **services.TARGETS,
    **stackrox.TARGETS,
    **vex.TARGETS,
    **wire.TARGETS,
}
