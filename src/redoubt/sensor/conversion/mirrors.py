"""OpenShift's mirror sets as rules. Pure.

Rules: ``operator.openshift.io/v1alpha1`` ``ImageContentSourcePolicy``, ``config.openshift.io/v1`` ``ImageDigestMirrorSet`` and
``ImageTagMirrorSet``.
"""

from __future__ import annotations

from redoubt.jsonfields import Given, parts, text, words
from redoubt.sensor.graph.mirrors import Mirrored, SeenMirrors

#: Rules of one object, and mirrors of one rule, that are looked at.
_MOST, _MIRRORS = 1000, 20


def mirror_set(given: Given) -> SeenMirrors:
    """One of the three kinds, told apart by what it says."""
    return SeenMirrors(
        (
            *_rules(given, "repositoryDigestMirrors", digests=True),
            *_rules(given, "imageDigestMirrors", digests=True),
            *_rules(given, "imageTagMirrors", digests=False),
        )
    )


def _rules(given: Given, field: str, *, digests: bool) -> tuple[Mirrored, ...]:
    return tuple(
        Mirrored(
            source=source.rstrip("/"),
            mirrors=tuple(one.rstrip("/") for one in words(each, "mirrors")[:_MIRRORS]),
            digests=digests,
            never_source=text(each, "mirrorSourcePolicy") == "NeverContactSource",
        )
        for each in parts(given, "spec", field)[:_MOST]
        if (source := text(each, "source"))
    )
