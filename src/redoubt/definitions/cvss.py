"""Base scores of CVSS vectors, versions 2.0, 3.0, 3.1 and 4.0, as FIRST's specifications define them.

Only the base score is computed: temporal, threat, environmental and supplemental metrics are checked for
form and otherwise ignored, because a feed speaks of a flaw and not of anyone's site. This module must not
know of feeds, advisories or whose vector it is.
"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import lru_cache

from redoubt.model import Severity

#: A vector with every metric of version 4.0 has under 260 characters.
_LONGEST = 512


class InvalidVector(ValueError):
    """The text is not a CVSS vector: unknown version or metric, a value missing, wrong or given twice."""


@lru_cache(maxsize=65536)
def base_score(vector: str) -> float:
    """The base score, 0.0 to 10.0 in steps of 0.1, of a vector string of any supported version.

    Version 2.0 vectors carry no prefix and may stand in parentheses. Raises ``InvalidVector``.
    """
    if len(vector) > _LONGEST:
        raise InvalidVector("longer than any CVSS vector")
    if vector.startswith(("CVSS:3.1/", "CVSS:3.0/")):
        return _score_3(_metrics(vector[9:], _BASE_3, _OTHER_3))
    if vector.startswith("CVSS:4.0/"):
        return _score_4(_metrics(vector[9:], _BASE_4, _OTHER_4))
    if vector.startswith("(") and vector.endswith(")"):
        vector = vector[1:-1]
    return _score_2(_metrics(vector, _BASE_2, _OTHER_2))


def rating(vector: str) -> Severity:
    """The word for a vector's base score: the scale of CVSS 3.x and 4.0, NVD's for 2.0 (which has none).

    A score of 0.0, "None" in the specification, is ``NEGLIGIBLE``. Raises ``InvalidVector``.
    """
    score = base_score(vector)
    if score == 0.0:
        return Severity.NEGLIGIBLE
    if score < 4.0:
        return Severity.LOW
    if score < 7.0:
        return Severity.MEDIUM
    if score < 9.0 or not vector.startswith("CVSS:"):
        return Severity.HIGH
    return Severity.CRITICAL


def _table(text: str) -> dict[str, frozenset[str]]:
    """``"AV:NALP AC:LH"`` → metric → allowed values; values longer than a letter are comma-separated."""
    table = {}
    for part in text.split():
        name, _, values = part.partition(":")
        table[name] = frozenset(values.split(",") if "," in values else values)
    return table


_BASE_2 = _table("AV:LAN AC:HML Au:MSN C:NPC I:NPC A:NPC")
_OTHER_2 = _table(
    "E:U,POC,F,H,ND RL:OF,TF,W,U,ND RC:UC,UR,C,ND CDP:N,L,LM,MH,H,ND TD:N,L,M,H,ND"
    " CR:L,M,H,ND IR:L,M,H,ND AR:L,M,H,ND"
)
_BASE_3 = _table("AV:NALP AC:LH PR:NLH UI:NR S:UC C:HLN I:HLN A:HLN")
_OTHER_3 = _table(
    "E:XUPFH RL:XOTWU RC:XURC CR:XLMH IR:XLMH AR:XLMH MAV:XNALP MAC:XLH MPR:XNLH MUI:XNR MS:XUC"
    " MC:XNLH MI:XNLH MA:XNLH"
)
_BASE_4 = _table("AV:NALP AC:LH AT:NP PR:NLH UI:NPA VC:HLN VI:HLN VA:HLN SC:HLN SI:HLN SA:HLN")
_OTHER_4 = _table(
    "E:XAPU CR:XHML IR:XHML AR:XHML MAV:XNALP MAC:XLH MAT:XNP MPR:XNLH MUI:XNPA MVC:XHLN MVI:XHLN MVA:XHLN"
    " MSC:XHLN MSI:XSHLN MSA:XSHLN S:XNP AU:XNY R:XAUI V:XDC RE:XLMH U:X,Clear,Green,Amber,Red"
)


def _metrics(text: str, base: dict[str, frozenset[str]], other: dict[str, frozenset[str]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in text.rstrip("/").split("/"):
        name, colon, value = part.partition(":")
        allowed = base.get(name) or other.get(name)
        if not colon or allowed is None or value not in allowed:
            raise InvalidVector(f"no such metric or value: {part!r}")
        if name in found:
            raise InvalidVector(f"given twice: {name}")
        found[name] = value
    for name in base:
        if name not in found:
            raise InvalidVector(f"metric missing: {name}")
    return found


# Version 2.0, "A Complete Guide", section 3.2.1.
_WEIGHTS_2 = {
    "AV": {"L": 0.395, "A": 0.646, "N": 1.0},
    "AC": {"H": 0.35, "M": 0.61, "L": 0.71},
    "Au": {"M": 0.45, "S": 0.56, "N": 0.704},
}
_IMPACT_2 = {"N": 0.0, "P": 0.275, "C": 0.660}


def _score_2(m: dict[str, str]) -> float:
    untouched = math.prod(1 - _IMPACT_2[m[name]] for name in "CIA")
    impact = 10.41 * (1 - untouched)
    exploitability = 20 * math.prod(weights[m[name]] for name, weights in _WEIGHTS_2.items())
    if not impact:
        return 0.0
    score = ((0.6 * impact) + (0.4 * exploitability) - 1.5) * 1.176
    return math.floor(score * 10 + 0.5) / 10


# Versions 3.0 and 3.1, section 7.1 and 7.4. The rounding is that of 3.1 (appendix A), which removes the
# dependence of 3.0 on how a machine holds fractions.
_WEIGHTS_3 = {
    "AV": {"N": 0.85, "A": 0.62, "L": 0.55, "P": 0.2},
    "AC": {"L": 0.77, "H": 0.44},
    "UI": {"N": 0.85, "R": 0.62},
}
_PRIVILEGES_3 = {
    "U": {"N": 0.85, "L": 0.62, "H": 0.27},
    "C": {"N": 0.85, "L": 0.68, "H": 0.5},
}
_IMPACT_3 = {"H": 0.56, "L": 0.22, "N": 0.0}


def _score_3(m: dict[str, str]) -> float:
    base = 1 - math.prod(1 - _IMPACT_3[m[name]] for name in "CIA")
    changed = m["S"] == "C"
    impact = 7.52 * (base - 0.029) - 3.25 * (base - 0.02) ** 15 if changed else 6.42 * base
    if impact <= 0:
        return 0.0
    exploitability = 8.22 * _PRIVILEGES_3[m["S"]][m["PR"]]
    exploitability *= math.prod(weights[m[name]] for name, weights in _WEIGHTS_3.items())
    return _round_up(min((impact + exploitability) * (1.08 if changed else 1.0), 10.0))


def _round_up(score: float) -> float:
    hundred_thousandths = round(score * 100_000)
    tenths, rest = divmod(hundred_thousandths, 10_000)
    return (tenths + (rest > 0)) / 10


# Version 4.0, section 8.2. A base vector has E:A, CR:H, IR:H and AR:H by default, so only the macro vectors
# of EQ5 = 0 can occur, and EQ6 follows from EQ3. Scores in tenths; rows: EQ3 and EQ6 together;
# columns: EQ1 and EQ2 as 00 01 10 11 20 21. First of each pair for EQ4 = 1, second for EQ4 = 2.
_MACRO_4: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "00": ((100, 95, 94, 90, 86, 73), (93, 92, 87, 77, 70, 54)),
    "01": ((96, 91, 89, 77, 74, 55), (90, 81, 75, 66, 54, 43)),
    "10": ((93, 92, 86, 74, 72, 61), (88, 84, 72, 61, 53, 46)),
    "11": ((92, 82, 76, 59, 57, 51), (80, 70, 57, 52, 36, 18)),
    "21": ((79, 71, 65, 58, 47, 24), (69, 63, 53, 23, 24, 10)),
}
#: How many steps of severity a level of EQ1, EQ2, EQ3+EQ6 and EQ4 spans (section 8.3, depths).
_DEPTH_1 = (1, 4, 5)
_DEPTH_2 = (1, 2)
_DEPTH_36 = {"00": 7, "10": 8, "21": 10}
_DEPTH_4 = {1: 5, 2: 4}
_STEPS_4 = {
    "AV": "NALP",
    "PR": "NLH",
    "UI": "NPA",
    "AC": "LH",
    "AT": "NP",
    "VC": "HLN",
    "VI": "HLN",
    "VA": "HLN",
    "SC": "HLN",
    "SI": "HLN",
    "SA": "HLN",
}


def _score_4(m: dict[str, str]) -> float:
    if all(m[name] == "N" for name in ("VC", "VI", "VA", "SC", "SI", "SA")):
        return 0.0
    step = {name: steps.index(m[name]) for name, steps in _STEPS_4.items()}
    reach = (step["AV"], step["PR"], step["UI"])
    eq1 = 0 if not any(reach) else 2 if m["AV"] == "P" or all(reach) else 1
    eq2 = 1 if step["AC"] or step["AT"] else 0
    eq36 = "10" if "H" in (m["VC"], m["VI"], m["VA"]) else "21"
    if m["VC"] == m["VI"] == "H":
        eq36 = "00"
    eq4 = 1 if "H" in (m["SC"], m["SI"], m["SA"]) else 2

    # Steps below the most severe vectors of the same macro vector; these are 0, 1 or 3 steps from the top.
    below = (
        (sum(reach) - (0, 1, 3)[eq1], _DEPTH_1[eq1]),
        (step["AC"] + step["AT"] - eq2, _DEPTH_2[eq2]),
        (step["VC"] + step["VI"] + step["VA"] - {"00": 0, "10": 1, "21": 3}[eq36], _DEPTH_36[eq36]),
        (step["SC"] + step["SI"] + step["SA"] - {1: 0, 2: 3}[eq4], _DEPTH_4[eq4]),
    )
    value = _macro(eq1, eq2, eq36, eq4)
    lower = (
        _macro(eq1 + 1, eq2, eq36, eq4) if eq1 < 2 else None,
        _macro(eq1, eq2 + 1, eq36, eq4) if eq2 < 1 else None,
        {
            "00": max(_macro(eq1, eq2, "01", eq4), _macro(eq1, eq2, "10", eq4)),
            "10": _macro(eq1, eq2, "11", eq4),
            "21": None,
        }[eq36],
        _macro(eq1, eq2, eq36, 2) if eq4 < 2 else None,
    )
    # EQ5 always has a lower neighbour and is never below its top: it counts in the mean and adds nothing.
    parts = [
        Fraction((value - lesser) * steps, depth)
        for lesser, (steps, depth) in zip(lower, below, strict=True)
        if lesser is not None
    ]
    mean = sum(parts, Fraction(0)) / (len(parts) + 1)
    return min(max(math.floor(value - mean + Fraction(1, 2)), 0), 100) / 10


def _macro(eq1: int, eq2: int, eq36: str, eq4: int) -> int:
    return _MACRO_4[eq36][eq4 - 1][eq1 * 2 + eq2]
