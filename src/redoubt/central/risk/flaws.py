"""What flaws add to a risk, whatever they are in. Pure.

Saturation and maximum are StackRox's; how much a flaw of a severity weighs is our own judgement.
"""

from __future__ import annotations

from collections.abc import Iterable

from redoubt.central.risk.scores import Result, normalised, reasons

#: What one flaw adds. 20 critical ones saturate, or 1,000 low ones.
WEIGHTS = {"CRITICAL": 5.0, "IMPORTANT": 2.0, "MODERATE": 0.5, "LOW": 0.1}
_LEVELS = tuple(reversed(WEIGHTS))


def weighed(flaws: Iterable[tuple[str, str]], name: str, subject: str) -> Result | None:
    """The factor called ``name`` of a ``subject`` (``Image 'shop'``): flaws with their severities (``CRITICAL``), several of one count as the worst."""
    worst: dict[str, str] = {}
    for flaw, severity in flaws:
        if WEIGHTS.get(severity, 0.0) > WEIGHTS.get(worst.get(flaw, ""), 0.0):
            worst[flaw] = severity  # one flaw in several packages is one flaw
    if not worst:
        return None
    levels = sorted({_LEVELS.index(each) for each in worst.values()})
    severities = (
        f"of {_LEVELS[levels[0]].capitalize()} severity"
        if len(levels) == 1
        else f"with severities between {_LEVELS[levels[0]].capitalize()} and {_LEVELS[levels[-1]].capitalize()}"
    )
    told = f"{subject} has {len(worst)} CVE{'s' if len(worst) > 1 else ''} {severities}"
    score = normalised(sum(WEIGHTS[each] for each in worst.values()), 100, 4)
    return Result(name=name, factors=reasons([told]), score=score)
