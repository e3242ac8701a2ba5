"""TOML from people: what is no TOML is said in a line, and none of it takes long."""

from __future__ import annotations

import pytest

from redoubt.assessments import toml
from redoubt.errors import UsageError


def test_tables_are_read_with_or_without_a_byte_order_mark() -> None:
    assert toml.load(b"[a]\nb.c = 1\n", "x") == {"a": {"b": {"c": 1}}}
    assert toml.load(b"\xef\xbb\xbfa = '\xc3\xa9'\r\n", "x") == {"a": "é"}


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"a", "not valid TOML"),
        (b"\xff", "it is not UTF-8"),
        (b"a = " + b"9" * 5000, "not valid TOML"),
        (b"a = " + b"[" * 100_000, "not valid TOML"),
        (b"a." * 30_000 + b"a = 1", "dots"),
        (b"[" + b"a." * 900 + b"a]", "deep"),  # found by fuzzing: what reads it calls itself as deep
        (b"a = " + b"[" * 40 + b"]" * 40, "deep"),
        (b"b = 1\n" + b"1." * 500_000, "dots"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(data: bytes, said: str) -> None:
    with pytest.raises(UsageError, match=said) as raised:
        toml.load(data, "x")
    assert str(raised.value).startswith("x: ")
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 300
