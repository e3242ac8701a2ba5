from __future__ import annotations

import struct

import pytest

from redoubt.collector import connector, sources
from redoubt.collector.connector import Connector, Happened
from redoubt.collector.libbpf import Unavailable
from redoubt.collector.loader import Settings
from redoubt.collector.observer import Observer
from redoubt.errors import EXIT_CREDENTIALS
from redoubt.model.noderecords import CollectorHealth


class NoProbe:
    def __init__(self, *_: object) -> None:
        raise Unavailable("no BPF here")


class Listening(Connector):
    """One that is given its messages by the test."""

    def __init__(self) -> None:
        self.lost = {}
        self._expected = {}


def choose(method: sources.Method, health: CollectorHealth) -> sources.Source:
    return sources.choose(method, Settings(), Observer(), health)


def test_without_bpf_the_next_best_is_taken_and_health_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "Probe", NoProbe)
    monkeypatch.setattr(sources, "Connector", Listening)
    health = CollectorHealth()
    assert isinstance(choose("auto", health), sources.ByConnector)
    assert health.method == "proc_connector"
    assert "no BPF here" in health.degraded
    assert len(health.unseen) == 3


def test_who_asks_for_bpf_gets_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "Probe", NoProbe)
    monkeypatch.setattr(sources, "Connector", Listening)
    health = CollectorHealth()
    with pytest.raises(Unavailable, match=r"^no BPF here$"):
        choose("core_bpf", health)
    assert health.method == "none"


def test_where_nothing_works_every_reason_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def denied() -> Connector:
        raise Unavailable("no connector either", denied=True)

    monkeypatch.setattr(sources, "Probe", NoProbe)
    monkeypatch.setattr(sources, "Connector", denied)
    with pytest.raises(Unavailable, match="no BPF here; no connector either") as refused:
        choose("auto", CollectorHealth())
    assert refused.value.exit_code == EXIT_CREDENTIALS


def message(
    what: int, ids: tuple[int, int, int, int], *, cpu: int = 0, number: int = 0, index: int = 1
) -> bytes:
    return (
        struct.pack("=IIIIHH", index, 1, number, 0, 40, 0)
        + struct.pack("=IIQ", what, cpu, 0)
        + struct.pack("=IIII", *ids)
    )


@pytest.mark.parametrize(
    ("what", "ids", "expected"),
    [
        (connector.FORK, (10, 10, 11, 11), Happened(connector.FORK, 10, 11)),
        (connector.FORK, (10, 10, 11, 10), None),  # a thread
        (connector.EXEC, (10, 10, 0, 0), Happened(connector.EXEC, 10, 0)),
        (connector.EXIT, (10, 10, 0, 0), Happened(connector.EXIT, 10, 0)),
        (connector.EXIT, (11, 10, 0, 0), None),  # a thread
        (0, (0, 0, 0, 0), None),
        (4, (10, 10, 0, 0), None),
    ],
)
def test_messages_of_the_process_connector(
    what: int, ids: tuple[int, int, int, int], expected: Happened | None
) -> None:
    assert Listening().decode(message(what, ids)) == expected


def test_what_is_no_message_is_nothing() -> None:
    listening = Listening()
    whole = message(connector.EXEC, (1, 1, 0, 0))
    for length in range(len(whole)):
        assert listening.decode(whole[:length]) is None
    assert listening.decode(message(connector.EXEC, (1, 1, 0, 0), index=2)) is None
    assert listening.lost == {}


def test_gaps_are_counted_for_each_cpu() -> None:
    listening = Listening()
    for cpu, number in ((0, 5), (1, 0xFFFFFFFE), (0, 6), (0, 10), (1, 0xFFFFFFFF), (1, 1)):
        listening.decode(message(connector.EXEC, (1, 1, 0, 0), cpu=cpu, number=number))
    assert listening.lost == {0: 3, 1: 1}
