"""The front door: schemes by name, inexact keys, the error, and pieces that are remembered."""

from __future__ import annotations

import pickle
import subprocess
import sys

import pytest

from redoubt import versions
from redoubt.versions.keys import _ENTRIES, _LONGEST, Memo, number_of


def test_unknown_scheme_is_a_key_error() -> None:
    for ask in (versions.key, versions.lenient_key):
        with pytest.raises(KeyError, match="floppy"):
            ask("floppy", "1.0")
    with pytest.raises(KeyError, match="floppy"):
        versions.compare("floppy", "1", "2")


def test_invalid_version_names_scheme_and_text_in_one_short_line() -> None:
    text = "no\nversion\x1b[31m" + "x" * 1_000_000
    with pytest.raises(versions.InvalidVersion) as caught:
        versions.key("pypi", text)
    assert caught.value.scheme == "pypi"
    assert caught.value.version == text
    message = str(caught.value)
    assert message.startswith("not a pypi version: 'no\\nversion\\x1b[31m")
    assert message.isprintable()
    assert len(message) < 200


def test_invalid_version_survives_pickling() -> None:
    error = pickle.loads(pickle.dumps(versions.InvalidVersion("deb", "a:1")))
    assert (error.scheme, error.version) == ("deb", "a:1")


def test_inexact_keys_are_equal_exactly_if_texts_are() -> None:
    assert versions.lenient_key("apk", "1.0.-r0") == versions.lenient_key("apk", "1.0.-r0")
    assert versions.lenient_key("apk", "1.0.-r0") != versions.lenient_key("apk", "1.0.-r1")
    assert versions.lenient_key("maven", "1.2.sp.1") != versions.lenient_key("maven", "1.2.SP.1")
    assert versions.lenient_key("apk", "\ud800") != versions.lenient_key("apk", "\udc00")


def test_lenient_key_of_a_good_version_is_its_key() -> None:
    assert versions.lenient_key("deb", "1:1.0-1") == versions.key("deb", "1:1.0-1")


def test_open_bound_counts_as_exact() -> None:
    assert versions.is_exact(b"")


def test_schemes_are_imported_when_first_asked_for() -> None:
    code = (
        "import sys; from redoubt import versions; versions.key('deb', '1');"
        "print(*sorted(m for m in sys.modules if m.startswith('redoubt.versions.')))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert loaded == [f"redoubt.versions.{name}" for name in ("deb", "invalid", "keys")]


def test_memo_forgets_when_full_and_keeps_no_long_pieces() -> None:
    memo = Memo(str.encode)
    for number in range(_ENTRIES + 10):
        assert memo[str(number)] == str(number).encode()
    assert len(memo) == 10
    long = "9" * (_LONGEST + 1)
    assert memo[long] == long.encode()
    assert long not in memo


@pytest.mark.parametrize("length", [1, 2, 3, 18, 19, 20, 252, 253, 254, 255, 256, 257, 5_000, 70_000])
def test_numbers_order_across_lengths(length: int) -> None:
    nines, one, shorter = (
        number_of("9" * length),
        number_of("1" + "0" * length),
        number_of("9" * (length - 1)),
    )
    assert shorter < number_of("1" + "0" * (length - 1)) < nines < one
    assert number_of("0" * 7 + "9" * length) == nines
    assert one[0] != 0xFF
