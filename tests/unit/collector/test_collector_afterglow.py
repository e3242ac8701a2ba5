from __future__ import annotations

from typing import Literal

import pytest

from redoubt.collector.afterglow import Afterglow
from redoubt.model.noderecords import Connection, Event, Flow, Loss

SECOND = 10**9


class Told(Afterglow):
    def __init__(self) -> None:
        self.events: list[Event] = []
        super().__init__(self.events.append, 300)

    @property
    def flows(self) -> list[tuple[str, str, int, str, int]]:
        return [
            (each.role, each.remote, each.port, each.state, each.time // SECOND)
            for each in self.events
            if isinstance(each, Flow)
        ]


@pytest.fixture
def glow() -> Told:
    return Told()


def connection(
    at: float,
    state: Literal["open", "closed"] = "open",
    *,
    role: Literal["client", "server"] = "client",
    protocol: Literal["tcp", "udp"] = "tcp",
    remote: str = "10.0.0.2",
    caller: int = 40000,
    container: str = "a" * 64,
) -> Connection:
    local_port, remote_port = (caller, 443) if role == "client" else (443, caller)
    return Connection(
        time=int(at * SECOND),
        container=container,
        protocol=protocol,
        role=role,
        local="10.0.0.1",
        local_port=local_port,
        remote=remote,
        remote_port=remote_port,
        state=state,
    )


@pytest.mark.parametrize("role", ["client", "server"])
def test_who_connects_again_and_again_is_one_flow(glow: Told, role: Literal["client", "server"]) -> None:
    for number in range(10):
        glow(connection(number * 100, role=role, caller=40000 + number))
        glow(connection(number * 100 + 1, "closed", role=role, caller=40000 + number))
        glow.expire((number * 100 + 50) * SECOND)
    assert glow.flows == [(role, "10.0.0.2", 443, "open", 0)]
    glow.expire(1200 * SECOND)
    assert len(glow.flows) == 1
    glow.expire(1201 * SECOND)
    assert glow.flows[1:] == [(role, "10.0.0.2", 443, "closed", 901)]
    assert len(glow) == 0


def test_a_flow_stays_open_while_one_connection_is(glow: Told) -> None:
    glow(connection(0, caller=1))
    glow(connection(0, caller=2))
    glow(connection(1, "closed", caller=1))
    glow.expire(10_000 * SECOND)
    assert len(glow.flows) == 1
    glow(connection(10_000, "closed", caller=2))
    glow.expire(10_300 * SECOND)
    assert [state for *_, state, _ in glow.flows] == ["open", "closed"]


def test_other_containers_and_other_ends_are_other_flows(glow: Told) -> None:
    glow(connection(0))
    glow(connection(0, container="b" * 64))
    glow(connection(0, remote="10.0.0.3"))
    glow(connection(0, role="server"))
    assert len(glow.flows) == 4


def test_udp_ends_by_silence(glow: Told) -> None:
    for at in (0, 30, 60):
        glow(connection(at, protocol="udp"))
    glow.expire(359 * SECOND)
    assert len(glow.flows) == 1
    glow.expire(360 * SECOND)
    assert glow.flows[1:] == [("client", "10.0.0.2", 443, "closed", 60)]


def test_an_end_of_what_never_began_is_nothing(glow: Told) -> None:
    glow(connection(0, "closed"))
    glow.expire(1000 * SECOND)
    assert glow.events == []


def test_everything_else_is_told_as_it_is(glow: Told) -> None:
    loss = Loss(time=1, lost={"exec": 1}, cpus=[1])
    glow(loss)
    assert glow.events == [loss]


def test_memory_is_bounded_and_what_is_forgotten_is_ended(glow: Told) -> None:
    for number in range((1 << 16) + 10):
        glow(connection(0, remote=str(number)))
    assert len(glow) == 1 << 16
    assert sum(state == "closed" for *_, state, _ in glow.flows) == 10
