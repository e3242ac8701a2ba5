"""Base scores of CVSS vectors.

Expected scores of 2.0 and 3.x are the arithmetic of the specifications' equations done by hand, or scores that the
specifications and NVD publish for well-known flaws. Those of 4.0 are look-ups in FIRST's table of macro vectors
(a vector that is the most severe of its macro vector has the table's score) and interpolations done by hand.
"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redoubt.definitions.cvss import InvalidVector, base_score, rating
from redoubt.model import Severity


@pytest.mark.parametrize(
    ("vector", "score"),
    [
        ("AV:N/AC:L/Au:N/C:N/I:N/A:C", 7.8),
        ("AV:N/AC:L/Au:N/C:C/I:C/A:C", 10.0),
        ("AV:L/AC:H/Au:N/C:C/I:C/A:C", 6.2),
        ("AV:N/AC:L/Au:N/C:P/I:N/A:N", 5.0),  # CVE-2014-0160
        ("AV:N/AC:M/Au:N/C:P/I:N/A:N", 4.3),
        ("AV:N/AC:L/Au:N/C:P/I:P/A:P", 7.5),
        ("(AV:L/AC:L/Au:N/C:C/I:C/A:C)", 7.2),
        ("AV:N/AC:L/Au:N/C:N/I:N/A:N", 0.0),
        ("AV:N/AC:L/Au:N/C:C/I:C/A:C/E:POC/RL:OF/RC:C", 10.0),
    ],
)
def test_version_2(vector: str, score: float) -> None:
    assert base_score(vector) == score


@pytest.mark.parametrize(
    ("metrics", "score"),
    [
        ("AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", 9.8),
        ("AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H", 10.0),  # CVE-2021-44228
        ("AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N", 7.5),  # CVE-2014-0160
        ("AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N", 6.1),
        ("AV:L/AC:L/PR:L/UI:N/S:U/C:H/I:H/A:H", 7.8),
        ("AV:N/AC:H/PR:N/UI:N/S:U/C:L/I:N/A:N", 3.7),
        ("AV:P/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", 6.8),
        ("AV:N/AC:L/PR:L/UI:N/S:C/C:L/I:L/A:N", 6.4),
        ("AV:N/AC:L/PR:H/UI:N/S:C/C:H/I:H/A:H", 9.1),
        ("AV:A/AC:L/PR:N/UI:N/S:C/C:H/I:N/A:H", 9.3),
        ("AV:L/AC:H/PR:H/UI:R/S:U/C:L/I:N/A:N", 1.8),
        ("AV:N/AC:L/PR:N/UI:N/S:C/C:N/I:N/A:N", 0.0),
        ("AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H/E:U/RL:O/RC:U", 9.8),
        ("A:H/I:H/C:H/S:U/UI:N/PR:N/AC:L/AV:N", 9.8),
    ],
)
@pytest.mark.parametrize("version", ["3.0", "3.1"])
def test_version_3(version: str, metrics: str, score: float) -> None:
    assert base_score(f"CVSS:{version}/{metrics}") == score


@pytest.mark.parametrize(
    ("metrics", "score"),
    [
        ("AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:H/SI:H/SA:H", 10.0),
        ("AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N", 9.3),
        ("AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:L/SI:L/SA:L", 9.3),
        ("AV:N/AC:H/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:L/SI:L/SA:L", 9.2),
        # Macro vector 000200, value 9.3. VA is 2 of 7 steps below the top and the next lower scores 8.8, or 9.0: 9.0
        # is taken, 0.3 lies between. Three lower neighbours and EQ5: (0.3 * 2 / 7) / 4 = 0.02 off.
        ("AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:N/SC:N/SI:N/SA:N", 9.3),
        ("AV:N/AC:L/AT:N/PR:N/UI:N/VC:N/VI:N/VA:N/SC:N/SI:N/SA:N", 0.0),
        ("AV:P/AC:H/AT:P/PR:L/UI:P/VC:L/VI:L/VA:L/SC:L/SI:L/SA:L", 1.0),
        # Macro vector 102201, value 5.3: PR:H is 1 of 4 steps down towards 2.4, so 2.9 / 4 = 0.725; VI and VA 2 of 10 steps, but
        # there is no lower neighbour; AC is at its top towards 2.3. With EQ5 a mean of three: 0.725 / 3 = 0.24; 5.3 - 0.24.
        ("AV:N/AC:L/AT:N/PR:H/UI:N/VC:L/VI:N/VA:N/SC:N/SI:N/SA:N", 5.1),
        # An exact half is rounded up: macro vector 101100 is 8.6, two of eight steps towards 7.6 are 0.25, a fifth of
        # which is 0.05: 8.55.
        ("AV:N/AC:L/AT:N/PR:L/UI:N/VC:H/VI:L/VA:N/SC:H/SI:H/SA:H", 8.6),
        ("AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N/E:U/CR:L/MAV:P/S:P/U:Amber", 9.3),
    ],
)
def test_version_4(metrics: str, score: float) -> None:
    assert base_score(f"CVSS:4.0/{metrics}") == score


@pytest.mark.parametrize(
    "vector",
    [
        "",
        "9.8",
        "CVSS:3.1/",
        "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H",
        "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:X",
        "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H/A:H",
        "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H/Q:1",
        "CVSS:3.1/AV:N//AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H",
        "CVSS:3.2/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H",
        "CVSS:5.0/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H",
        "cvss:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H",
        "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:S/SA:N",
        "AV:N/AC:L/Au:N/C:P/I:P",
        "(AV:N/AC:L/Au:N/C:P/I:P/A:P",
        "CVSS:3.1/" + "AV:N/" * 1000,
    ],
)
def test_what_is_no_vector_is_refused(vector: str) -> None:
    with pytest.raises(InvalidVector):
        base_score(vector)


@pytest.mark.parametrize(
    ("vector", "word"),
    [
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", Severity.CRITICAL),
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N", Severity.HIGH),
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N", Severity.MEDIUM),
        ("CVSS:3.1/AV:N/AC:H/PR:N/UI:N/S:U/C:L/I:N/A:N", Severity.LOW),
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N", Severity.NEGLIGIBLE),
        ("AV:N/AC:L/Au:N/C:C/I:C/A:C", Severity.HIGH),
    ],
)
def test_rating(vector: str, word: Severity) -> None:
    assert rating(vector) is word


VALUES = {
    "CVSS:3.1": ["AV:NALP", "AC:LH", "PR:NLH", "UI:NR", "S:CU", "C:HLN", "I:HLN", "A:HLN"],
    "CVSS:4.0": [
        *("AV:NALP", "AC:LH", "AT:NP", "PR:NLH", "UI:NPA"),
        *("VC:HLN", "VI:HLN", "VA:HLN", "SC:HLN", "SI:HLN", "SA:HLN"),
    ],
}


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(VALUES)), st.data())
def test_a_worse_metric_never_lowers_a_score(version: str, data: st.DataObject) -> None:
    """Each metric's values are listed from worse to better (``S`` too, which weighs privileges less)."""
    chosen = {}
    for metric in VALUES[version]:
        name, _, values = metric.partition(":")
        chosen[name] = data.draw(st.sampled_from(values))
    changed = data.draw(
        st.sampled_from([metric for metric in VALUES[version] if metric[0] != "S" or "4" in version])
    )
    name, _, values = changed.partition(":")
    place = values.index(chosen[name])
    better = chosen | {name: values[min(place + 1, len(values) - 1)]}

    def score(metrics: dict[str, str]) -> float:
        return base_score(f"{version}/" + "/".join(f"{key}:{value}" for key, value in metrics.items()))

    assert 0.0 <= score(better) <= score(chosen) <= 10.0


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet="CVSS:34.01/AVNLPHURXQ()", max_size=60))
def test_any_text_scores_or_is_refused(text: str) -> None:
    try:
        assert 0.0 <= base_score(text) <= 10.0
    except InvalidVector:
        assert text.count("/") < 30
