from __future__ import annotations

from redoubt.collector.outside import Limit, Outside
from redoubt.model.noderecords import EXTERNAL, Connection, Endpoint, Event, Flow, Loss

MINUTE = 60 * 10**9


def connection(remote: str) -> Connection:
    return Connection(
        time=0,
        container="a" * 64,
        protocol="tcp",
        role="client",
        local="10.1.1.1",
        local_port=40000,
        remote=remote,
        remote_port=443,
        state="open",
    )


def named(outside: Outside, told: list[Event], remote: str) -> str | None:
    told.clear()
    outside(connection(remote))
    return told[0].remote if told and isinstance(told[0], Connection) else None


def test_addresses_outside_are_one_and_those_of_the_cluster_are_told() -> None:
    told: list[Event] = []
    outside = Outside(told.append)
    assert named(outside, told, "203.0.113.7") == EXTERNAL
    assert named(outside, told, "2001:db8::1") == EXTERNAL
    for inside in ("10.0.0.1", "172.31.0.1", "192.168.3.4", "100.64.0.1", "169.254.169.254", "fd00::1"):
        assert named(outside, told, inside) == inside
    for own in ("127.0.0.1", "127.8.9.1", "::1"):
        assert named(outside, told, own) is None


def test_known_networks_are_told_apart_the_smallest_counts() -> None:
    told: list[Event] = []
    outside = Outside(told.append)
    outside.configure(
        apart=False,
        networks=["203.0.113.0/24", "203.0.0.0/16", "203.0.113.9/32", "nonsense", "2001:db8::/32"],
    )
    assert named(outside, told, "203.0.113.7") == "203.0.113.0/24"
    assert named(outside, told, "203.0.9.7") == "203.0.0.0/16"
    assert named(outside, told, "203.0.113.9") == "203.0.113.9"
    assert named(outside, told, "2001:db8::5") == "2001:db8::/32"
    assert named(outside, told, "198.51.100.1") == EXTERNAL
    outside.configure(apart=True, networks=[])
    assert named(outside, told, "198.51.100.1") == "198.51.100.1"


def test_other_events_and_what_is_no_address_pass() -> None:
    told: list[Event] = []
    outside = Outside(told.append)
    endpoint = Endpoint(time=0, protocol="tcp", address="0.0.0.0", port=1, state="open")
    outside(endpoint)
    assert told == [endpoint]
    assert named(outside, told, "no address") == "no address"


def flow(at: int, container: str = "a", state: str = "open") -> Flow:
    return Flow(
        time=at, container=container, protocol="tcp", role="client", remote="10.0.0.1", port=1, state=state
    )  # type: ignore[arg-type]


def test_a_container_has_so_many_flows_told_in_a_minute_and_the_rest_is_counted() -> None:
    told: list[Event] = []
    limit = Limit(told.append, 3)
    for _ in range(5):
        limit(flow(MINUTE))
    limit(flow(MINUTE, "b"))
    limit(flow(MINUTE, state="closed"))
    assert [(e.container, e.state) for e in told if isinstance(e, Flow)] == [("a", "open")] * 3 + [
        ("b", "open"),
        ("a", "closed"),
    ]
    limit.flush(MINUTE)
    limit.flush(MINUTE)
    assert [e.lost for e in told if isinstance(e, Loss)] == [{"limited": 2}]
    limit(flow(2 * MINUTE))
    assert limit.limited == 2
    assert isinstance(told[-1], Flow)


def test_without_a_limit_all_are_told() -> None:
    told: list[Event] = []
    limit = Limit(told.append)
    for _ in range(5000):
        limit(flow(MINUTE))
    assert len(told) == 5000
