"""How passwords are stored, and how often one may guess."""

from __future__ import annotations

import pytest

from redoubt.central.auth.hashing import fits, hashed
from redoubt.central.auth.limiter import Limiter
from redoubt.central.refusals import Exhausted

CHEAP = 10


@pytest.mark.parametrize("password", ["geheim", "", "\u00fc\u00df\u6f22", "a b", "x" * 1024, "\ud800"])
def test_only_the_password_fits(password: str) -> None:
    stored = hashed(password, CHEAP)
    assert stored.startswith("$scrypt$ln=10,r=8,p=1$")
    assert fits(password, stored)
    assert not fits(password + "x", stored)
    assert password == "" or not fits("", stored)
    assert stored != hashed(password, CHEAP)


def test_a_nul_fits_nothing() -> None:
    assert not fits("\0", hashed("", CHEAP))
    assert not fits("a\0", hashed("a", CHEAP))


def test_the_default_costs_what_it_should() -> None:
    assert hashed("x").startswith("$scrypt$ln=15,r=8,p=1$")


def test_a_password_beyond_the_limit_is_not_looked_at() -> None:
    assert not fits("x" * 1025, hashed("x" * 1025, CHEAP))


@pytest.mark.parametrize(
    "stored",
    [
        "",
        "geheim",
        "$scrypt$ln=99,r=8,p=1$AAAAAAAAAAAAAAAAAAAAAA$" + "A" * 43,
        "$scrypt$ln=0,r=8,p=1$AAAAAAAAAAAAAAAAAAAAAA$" + "A" * 43,
        "$scrypt$ln=15,r=99,p=1$AAAAAAAAAAAAAAAAAAAAAA$" + "A" * 43,
        "$2b$12$abcdefghijklmnopqrstuv",
    ],
)
def test_what_is_no_hash_of_ours_fits_nothing(stored: str) -> None:
    assert not fits("geheim", stored)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_source_has_its_allowance_and_gets_it_back_slowly() -> None:
    clock = Clock()
    limiter = Limiter(3, 10.0, clock)
    for _ in range(3):
        limiter.check("192.0.2.1")
        limiter.failed("192.0.2.1")
    with pytest.raises(Exhausted) as refused:
        limiter.check("192.0.2.1")
    assert 0 < refused.value.retry_after <= 10
    limiter.check("192.0.2.2")
    clock.now += 10.1
    limiter.check("192.0.2.1")
    limiter.failed("192.0.2.1")
    with pytest.raises(Exhausted):
        limiter.check("192.0.2.1")
    clock.now += 31
    for _ in range(3):
        limiter.check("192.0.2.1")
        limiter.failed("192.0.2.1")


def test_the_right_password_ends_the_wait() -> None:
    limiter = Limiter(2, 10.0, Clock())
    limiter.failed("192.0.2.1")
    limiter.succeeded("192.0.2.1")
    limiter.failed("192.0.2.1")
    limiter.check("192.0.2.1")


def test_an_ipv6_network_is_one_source() -> None:
    limiter = Limiter(2, 10.0, Clock())
    limiter.failed("2001:db8::1")
    limiter.failed("2001:db8::2")
    with pytest.raises(Exhausted):
        limiter.check("2001:db8::3")


def test_many_sources_take_little_memory() -> None:
    limiter = Limiter(2, 10.0, Clock())
    for number in range(60_000):
        limiter.failed(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert len(limiter._until) == 50_000
