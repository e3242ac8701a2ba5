"""Whether a system's day has come depends on the day it is asked on, and nothing else."""

from __future__ import annotations

from datetime import date

import msgspec
import pytest
from formats_samples import REPORT

from redoubt.formats.summary import ended


@pytest.mark.parametrize(
    ("end", "today", "said"),
    [
        ("2024-06-30", date(2024, 6, 30), True),
        ("2024-06-30", date(2024, 6, 29), False),
        ("2024-06-30", date(2030, 1, 1), True),
        ("", date(2030, 1, 1), False),
    ],
)
def test_an_end_is_said_from_its_day_on(end: str, today: date, said: bool) -> None:
    line = ended(msgspec.structs.replace(REPORT, end_of_life=end), today)
    assert bool(line) is said
    assert not said or f"is no longer looked after since {end}" in line
