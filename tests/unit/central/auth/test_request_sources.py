"""Where a request comes from."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redoubt.central.auth.sources import group, networks, normal, source
from redoubt.errors import UsageError

PROXIES = networks(["10.0.0.0/8", "fd00::1"])


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("192.0.2.1", ["203.0.113.9"], "192.0.2.1"),
        ("10.1.1.1", ["203.0.113.9"], "203.0.113.9"),
        ("10.1.1.1", ["198.51.100.1, 203.0.113.9, 10.2.2.2"], "203.0.113.9"),
        ("10.1.1.1", ["198.51.100.1", "203.0.113.9"], "203.0.113.9"),
        ("10.1.1.1", ["203.0.113.9, nonsense"], "10.1.1.1"),
        ("10.1.1.1", ["10.3.3.3"], "10.3.3.3"),
        ("10.1.1.1", [], "10.1.1.1"),
        ("::ffff:10.1.1.1", ["::ffff:203.0.113.9"], "203.0.113.9"),
        ("fd00::1", ["[2001:db8::1]"], "2001:db8::1"),
        ("10.1.1.1", ["203.0.113.9:4711"], "203.0.113.9"),
        ("10.1.1.1", ["[2001:db8::1]:4711"], "2001:db8::1"),
        ("10.1.1.1", ["203.0.113.9:4711:1"], "10.1.1.1"),
        ("10.1.1.1", ["[", "]", ":", "[]:1"], "10.1.1.1"),
        ("fe80::1%eth0", [], "fe80::1"),
        ("", ["203.0.113.9"], ""),
        ("socket", ["203.0.113.9"], "socket"),
    ],
)
def test_only_trusted_proxies_are_believed(peer: str, forwarded: list[str], expected: str) -> None:
    assert source(peer, forwarded, PROXIES) == expected


def test_without_trusted_proxies_the_header_means_nothing() -> None:
    assert source("10.1.1.1", ["203.0.113.9"], ()) == "10.1.1.1"


def test_what_is_no_network_is_said() -> None:
    with pytest.raises(UsageError, match="neither"):
        networks(["10.0.0.0/8", "proxy.example"])


def test_an_ipv6_customer_is_one_source() -> None:
    assert group("2001:db8:1:2:3::4") == group("2001:db8:1:2::9") == "2001:db8:1:2::/64"
    assert group("2001:db8:1:3::9") != group("2001:db8:1:2::9")
    assert group("192.0.2.1") == "192.0.2.1"
    assert group("") == ""


@given(peer=st.text(), forwarded=st.lists(st.text()))
def test_anything_is_answered(peer: str, forwarded: list[str]) -> None:
    found = source(peer, forwarded, PROXIES)
    assert found == normal(peer) or ip_address(found)
    group(found)


@given(st.ip_addresses(), st.lists(st.text()), st.lists(st.ip_addresses()))
def test_a_stranger_s_address_is_his_own(
    peer: IPv4Address | IPv6Address, texts: list[str], others: list[object]
) -> None:
    if any(peer in network for network in PROXIES) or getattr(peer, "ipv4_mapped", None):
        return
    assert source(str(peer), [*texts, *map(str, others)], PROXIES) == str(peer).partition("%")[0]
