"""Ignore files: what is a rule, and what is refused with the rule that is wrong."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redoubt.assessments.ignorefile import MAX_BYTES, IgnoreRule, read
from redoubt.errors import UsageError

WHOLE = b"""
[[ignore]]
id = "CVE-2099-0001"
package = "pkg:npm/%40shop/cart"
version = "1.4.0"
path = "srv/**"
status = "will_not_fix"
reason = "the cart is never asked "
justification = "vulnerable_code_not_in_execute_path"
expires = 2099-01-31

[[ignore]]
package = "linux-libc-dev"
reason = "headers only"
expires = "2099-02-28"
"""


def test_every_field_of_a_rule_is_read() -> None:
    first, second = read(WHOLE, "rules.toml")
    assert first == IgnoreRule(
        file="rules.toml",
        number=1,
        id="CVE-2099-0001",
        package="pkg:npm/%40shop/cart",
        version="1.4.0",
        path="srv/**",
        status="will_not_fix",
        reason="the cart is never asked",
        justification="vulnerable_code_not_in_execute_path",
        expires="2099-01-31",
    )
    assert (second.number, second.package, second.id, second.expires) == (
        2,
        "linux-libc-dev",
        "",
        "2099-02-28",
    )


def test_a_file_without_rules_has_none() -> None:
    assert read(b"# nothing yet\n", "rules.toml") == ()
    assert read(b"\xef\xbb\xbf", "rules.toml") == ()


def test_a_rule_holds_until_the_day_before_its_end() -> None:
    rule, _ = read(WHOLE, "rules.toml")
    assert not rule.expired(date(2099, 1, 30))
    assert rule.expired(date(2099, 1, 31))
    assert not IgnoreRule(file="", number=1, id="CVE-2099-0001", reason="x").expired(date.max)


def rule(lines: str) -> bytes:
    return f'[[ignore]]\nid = "CVE-2099-0001"\nreason = "x"\n\n[[ignore]]\n{lines}\n'.encode()


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ('reason = "all"', "rule 2 would silence everything"),
        ('id = "CVE-2099-0001"', "rule 2: no reason"),
        ('id = ""\nreason = "x"', "rule 2: 'id' is empty"),
        ('id = " "\nreason = "x"', "rule 2: 'id' is empty"),
        ('id = 7\nreason = "x"', "rule 2: 'id' wants text"),
        ('id = ["CVE-2099-0001"]\nreason = "x"', "rule 2: 'id' wants text"),
        ('id = "CVE-2099-0001"\nreason = "x"\npakage = "a"', "no key 'pakage'; did you mean 'package'?"),
        ('id = "CVE-2099-0001"\nreason = "x"\nfile = "a"', "no key 'file'"),
        ('id = "CVE-2099-0001"\nreason = "x"\nexpires = "soon"', "'expires' wants a day"),
        ('id = "CVE-2099-0001"\nreason = "x"\nexpires = 2099-01-31T00:00:00Z', "'expires' wants a day"),
        ('id = "CVE-2099-0001"\nreason = "x"\nexpires = 20990131', "'expires' wants a day"),
        ('id = "CVE-2099-0001"\nreason = "x"\nstatus = "fixed"', "'status' is none of affected"),
        ('id = "CVE-2099-0001"\nreason = "x"\njustification = "because"', "'justification' is none of"),
        ('package = "pkg:npm"\nreason = "x"', "is not a purl"),
        ('id = "' + "x" * 5000 + '"\nreason = "x"', "'id' is longer than"),
    ],
)  # fmt: skip
def test_a_rule_that_is_wrong_is_named(lines: str, said: str) -> None:
    with pytest.raises(UsageError) as refused:
        read(rule(lines), "rules.toml")
    assert str(refused.value).startswith("rules.toml: rule 2")
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "data",
    [
        b'ignore = "CVE-2099-0001"',
        b"ignore = [1, 2]",
        b"[ignore]\nid = 'x'",
        b"[[ignored]]\nid = 'x'",
        b"vulnerabilities:\n  - id: CVE-2099-0001\n",
        b"{",
        b"\xff\xfe",
        b"x = " + b"[" * 100_000,
        b"expires = 2099-99-99",
        b"#" * (MAX_BYTES + 1),
    ],
)
def test_what_is_no_ignore_file_is_refused_in_one_line(data: bytes) -> None:
    with pytest.raises(UsageError) as refused:
        read(data, "rules.toml")
    assert str(refused.value).startswith("rules.toml")
    assert "\n" not in str(refused.value)


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace")))
def test_any_bytes_are_rules_or_refused(data: bytes) -> None:
    try:
        rules = read(WHOLE + data, "rules.toml")
    except UsageError:
        return
    assert all(rule.reason and (rule.id or rule.package) for rule in rules)
