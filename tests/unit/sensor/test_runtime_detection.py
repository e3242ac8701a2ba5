"""Runtime detection over a stand-in store: what collectors tell, and what Central is told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec
import pytest

from redoubt.errors import NetworkError
from redoubt.model.cluster import (
    BaselinePeer,
    BaselineSync,
    ContainerBaseline,
    DeploymentNetworkBaseline,
    Enforcement,
    Entity,
)
from redoubt.model.noderecords import EXTERNAL, Endpoint, Event, Flow, Loss, Process
from redoubt.policies import Policy, PolicySet
from redoubt.sensor.runtime.detection import Runtime, Session
from support.policies import group, policy
from support.runtime import Sent, Store

CONTAINER = "c" * 64
SECOND = 10**9


def process(
    *arguments: str, path: str = "/bin/sh", container: str = CONTAINER, pod: str = "", pid: int = 7
) -> Process:
    return Process(
        time=1_000 * SECOND,
        container=container,
        pod=pod,
        pid=pid,
        parent=1,
        uid=0,
        gid=0,
        name=path.rpartition("/")[2][:15],
        path=path,
        arguments=(path, *arguments),
    )


def flow(
    remote: str,
    port: int = 443,
    role: Literal["client", "server"] = "client",
    state: Literal["open", "closed"] = "open",
    container: str = CONTAINER,
    at: int = 1_000,
) -> Flow:
    return Flow(
        time=at * SECOND,
        container=container,
        protocol="tcp",
        role=role,
        remote=remote,
        port=port,
        state=state,
    )


class World:
    def __init__(self, *policies: Policy, **options: Any) -> None:
        self.store = Store(policies)
        self.sent = Sent()
        self.options = {"grace": 100.0, "address_grace": 100.0} | options
        self.runtime = self.begin()
        self.session = self.runtime.session("node-1", "first")

    def begin(self) -> Runtime:
        return Runtime(self.store, self.store, self.store, self.sent, **self.options)

    async def take(self, *events: Event, session: Session | None = None, number: int = 0) -> None:
        session = session or self.session
        await self.runtime.take(session, number or session.taken + 1, msgspec.msgpack.encode(events))
        await self.runtime.flush()


def asked(work: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(work(), 20))  # type: ignore[arg-type]


def test_a_program_is_told_once_for_pod_container_path_and_arguments() -> None:
    async def work() -> None:
        world = World()
        world.store.add("web", CONTAINER, "uid-1")
        await world.take(
            process("-c", "ls"), process("-c", "ls", pid=8), process("-c", "id"), process("-c ls")
        )
        assert [each.signal.args for each in world.sent.processes if each.signal] == [
            "-c ls",
            "-c id",
            "-c ls",
        ]
        assert len({each.id for each in world.sent.processes}) == 3
        assert world.runtime.programs.same == 1
        assert world.session.acknowledged == 1

    asked(work)


def test_the_same_program_has_the_same_identifier_for_another_sensor() -> None:
    async def work() -> None:
        world = World()
        world.store.add("web", CONTAINER, "uid-1")
        await world.take(process("a"))
        world.runtime = world.begin()
        await world.take(process("a"), session=world.runtime.session("node-1", "first"))
        assert len(world.sent.processes) == 2
        assert len({each.id for each in world.sent.processes}) == 1

    asked(work)


def test_an_event_waits_for_its_container_and_is_acknowledged_when_it_was_told() -> None:
    async def work() -> None:
        world = World()
        await world.take(process("a"))
        await world.take(Loss(time=0, lost={"exec": 3}, cpus=[]))
        assert (world.sent.processes, world.session.acknowledged) == ([], 0)
        world.store.add("web", CONTAINER, "uid-1")
        await world.runtime.flush()
        assert [each.pod_id for each in world.sent.processes] == ["web-1"]
        assert world.session.acknowledged == 2
        assert world.runtime.dropped == {"exec": 3}
        assert world.sent.dropped == 3

    asked(work)


def test_a_container_that_nobody_knows_in_time_is_dropped_and_counted() -> None:
    async def work() -> None:
        world = World(grace=0.0)
        await world.take(process("a"), process("b"))
        assert world.sent.processes == []
        assert world.runtime.dropped == {"unresolved": 2}
        assert world.session.acknowledged == 1

    asked(work)


def test_a_pod_that_is_known_by_its_uid_is_told_without_its_containers_name_at_the_last() -> None:
    async def work() -> None:
        world = World(grace=0.0)
        world.store.add("web", "", "uid-1")
        world.store.pods["uid-1"] = msgspec.structs.replace(world.store.pods["uid-1"], container_name="")
        await world.take(process("a", pod="uid-1"), process(path="/pause", pod="uid-1"))
        (told,) = world.sent.processes
        assert (told.pod_id, told.container_name) == ("web-1", "")

    asked(work)


def test_a_pod_of_one_container_needs_no_wait() -> None:
    async def work() -> None:
        world = World()
        world.store.add("web", "", "uid-1")
        await world.take(process("a", pod="uid-1"))
        assert [each.container_name for each in world.sent.processes] == ["main"]

    asked(work)


def test_a_pods_sandbox_is_not_its_only_container() -> None:
    async def work() -> None:
        world = World()
        world.store.add("web", "", "uid-1")
        world.store.pods["uid-1"] = msgspec.structs.replace(world.store.pods["uid-1"], guessed=True)
        await world.take(process(path="/pause", pod="uid-1"), process("a", pod="uid-1"))
        assert [each.signal.exec_file_path for each in world.sent.processes if each.signal] == ["/bin/sh"]

    asked(work)


def test_what_is_sent_again_is_taken_once() -> None:
    async def work() -> None:
        world = World()
        world.store.add("web", CONTAINER, "uid-1")
        await world.take(process("a"), number=1)
        again = world.runtime.session("node-1", "first")
        assert again is world.session
        await world.take(process("b"), number=1)
        await world.take(process("c"), number=2)
        assert [each.signal.args for each in world.sent.processes if each.signal] == ["a", "c"]

    asked(work)


def test_what_could_not_be_written_down_is_not_acknowledged_and_told_later() -> None:
    async def work() -> None:
        world = World()
        world.store.add("web", CONTAINER, "uid-1")
        world.sent.failing = True
        with pytest.raises(NetworkError):
            await world.take(process("a"))
        assert world.session.acknowledged == 0
        world.sent.failing = False
        await world.runtime.flush()
        assert len(world.sent.processes) == 1
        assert world.session.acknowledged == 1

    asked(work)


def test_a_batch_that_is_none_is_counted_and_not_asked_for_again() -> None:
    async def work() -> None:
        world = World()
        await world.runtime.take(world.session, 1, b"\xc1 nonsense")
        await world.runtime.flush()
        assert world.session.acknowledged == 1
        assert world.runtime.dropped == {"unreadable": 1}

    asked(work)


def test_a_batch_whose_stream_breaks_off_is_taken_whole_and_before_the_next() -> None:
    async def work() -> None:
        world = World()
        world.store.add("web", CONTAINER, "uid-1")

        def batch(of: str) -> bytes:
            return msgspec.msgpack.encode([process(f"{of}{each}") for each in range(1000)])

        broken = asyncio.create_task(world.runtime.take(world.session, 1, batch("a")))
        while not world.session.taken:
            await asyncio.sleep(0)
        broken.cancel()
        again = world.runtime.session("node-1", "first")
        await asyncio.gather(
            world.runtime.take(again, 1, batch("a")), world.runtime.take(again, 2, batch("b"))
        )
        await world.runtime.flush()
        assert [each.signal.args for each in world.sent.processes if each.signal] == [
            f"{of}{each}" for of in "ab" for each in range(1000)
        ]
        assert world.session.acknowledged == 2
        assert broken.cancelled()

    asked(work)


def test_two_streams_that_wait_for_room_do_not_bring_a_batch_twice() -> None:
    async def work() -> None:
        world = World()
        world.store.add("web", CONTAINER, "uid-1")
        world.runtime._room.clear()
        data = msgspec.msgpack.encode([Loss(time=0, lost={"exec": 3}, cpus=[])])
        both = [asyncio.create_task(world.runtime.take(world.session, 1, data)) for _ in range(2)]
        await asyncio.sleep(0)
        await world.runtime.flush()
        await asyncio.gather(*both)
        assert world.runtime.dropped == {"exec": 3}

    asked(work)


@pytest.mark.parametrize("late", [False, True])
def test_an_event_that_nobody_foresaw_is_counted_and_keeps_nothing_back(late: bool) -> None:
    async def work() -> None:
        world = World()
        usual = world.runtime.programs.take

        def odd(place: Any, event: Process, *others: Any) -> None:
            if "odd" in event.arguments:
                raise ZeroDivisionError
            usual(place, event, *others)

        world.runtime.programs.take = odd  # type: ignore[method-assign]
        if late:
            await world.take(process("a"), process("odd"), process("b"))
        world.store.add("web", CONTAINER, "uid-1")
        if late:
            await world.runtime.flush()
        else:
            await world.take(process("a"), process("odd"), process("b"))
        assert [each.signal.args for each in world.sent.processes if each.signal] == ["a", "b"]
        assert world.runtime.dropped == {"unreadable": 1}
        assert world.session.acknowledged == 1

    asked(work)


def test_hostile_texts_pass_as_they_are() -> None:
    async def work() -> None:
        world = World()
        world.store.add("web", CONTAINER, "uid-1")
        evil = "a\nb\x1b[2J\x00" + "x" * 200_000
        await world.take(process(evil, path="/tmp/\n\x1b]0;evil\x07"))
        (told,) = world.sent.processes
        assert told.signal is not None
        assert told.signal.args.startswith("a\nb\x1b[2J\x00")
        assert len(told.signal.args) <= 8192

    asked(work)


def runtime(name: str, criterion: str, value: str, **more: Any) -> Policy:
    return policy(
        [group(criterion, value)],
        id=f"id of {name}",
        name=name,
        lifecycle_stages=("RUNTIME",),
        event_source="DEPLOYMENT_EVENT",
        **more,
    )


SHELL = runtime("No shells", "Process Name", "sh")
KILLING = msgspec.structs.replace(SHELL, enforcement_actions=("KILL_POD_ENFORCEMENT",))
STRANGE = runtime("Not in its baseline", "Unexpected Process Executed", "true")
FLOWS = runtime("Not in its network baseline", "Unexpected Network Flow Detected", "true")


def test_policies_make_one_alert_each_for_a_deployment_in_a_batch() -> None:
    async def work() -> None:
        world = World(SHELL)
        world.store.add("web", CONTAINER, "uid-1")
        await world.take(process("-c", "ls"), process("-c", "id"), process("x", path="/bin/echo"))
        (alert,) = world.sent.alerts
        assert (alert.lifecycle_stage, alert.entity_type, alert.policy.name) == (
            "RUNTIME",
            "DEPLOYMENT",
            "No shells",
        )
        assert alert.deployment is not None
        assert (alert.deployment.name, alert.cluster_name) == ("web", "remote")
        assert alert.process_violation is not None
        assert [each.signal.args for each in alert.process_violation.processes if each.signal] == [
            "-c ls",
            "-c id",
        ]
        assert alert.enforcement is None
        assert world.store.enforced == []

    asked(work)


def test_an_alert_that_is_too_large_for_a_message_is_told_with_less() -> None:
    async def work() -> None:
        world = World(SHELL)
        made = world.store.add("web", CONTAINER, "uid-1")
        world.store.deployments[made.id] = msgspec.structs.replace(made, labels={"large": "x" * (3 << 20)})
        # Six bytes a character in JSON.
        await world.take(*(process("\x01" * 8000 + str(each)) for each in range(40)))
        (alert,) = world.sent.alerts
        assert alert.process_violation is not None
        assert len(alert.process_violation.processes) == 20
        assert alert.deployment is not None
        assert alert.deployment.labels == {}
        assert all(each.ByteSize() < 4_000_000 for each in world.sent.messages)

    asked(work)


def test_a_pod_is_to_be_killed_where_the_policy_says_so() -> None:
    async def work() -> None:
        world = World(KILLING)
        world.store.add("web", CONTAINER, "uid-1")
        await world.take(process("-c", "ls"), process("-c", "id"))
        (alert,) = world.sent.alerts
        assert alert.enforcement is not None
        (asked_for,) = world.store.enforced
        assert isinstance(asked_for, Enforcement)
        assert (asked_for.action, asked_for.pod_id, asked_for.pod_uid, asked_for.alert_id) == (
            "KILL_POD_ENFORCEMENT",
            "web-1",
            "uid-1",
            alert.id,
        )

    asked(work)


def test_only_a_locked_baseline_makes_a_program_unexpected() -> None:
    async def work() -> None:
        world = World(STRANGE)
        made = world.store.add("web", CONTAINER, "uid-1")
        baseline = ContainerBaseline(
            deployment_id=made.id, container_name="main", locked=False, paths=("/bin/sh",)
        )
        world.runtime.baselines.take(BaselineSync(whole=True, processes=(baseline,)))
        await world.take(process("1", path="/bin/nc"))
        assert world.sent.alerts == []
        locked = msgspec.structs.replace(baseline, locked=True)
        world.runtime.baselines.take(BaselineSync(processes=(locked,)))
        await world.take(process("2", path="/bin/nc"), process("2", path="/bin/sh"))
        (alert,) = world.sent.alerts
        assert alert.process_violation is not None
        assert [each.signal.exec_file_path for each in alert.process_violation.processes if each.signal] == [
            "/bin/nc"
        ]
        world.runtime.baselines.take(BaselineSync(removed_deployments=(made.id,)))
        await world.take(process("3", path="/bin/nc"))
        assert len(world.sent.alerts) == 1

    asked(work)


def ends(world: World) -> list[tuple[str, str, str, str, int, bool]]:
    return [
        (e.source.type, e.source.id, e.destination.type, e.destination.id, e.port, e.closed is not None)
        for e in world.sent.flows
    ]


def test_both_ends_of_a_connection_are_one_flow() -> None:
    async def work() -> None:
        world = World()
        world.store.add("web", CONTAINER, "uid-1", ["10.0.0.1"])
        world.store.add("db", "d" * 64, "uid-2", ["10.0.0.2"])
        other = world.runtime.session("node-2", "its")
        await world.take(flow("10.0.0.2", 5432))
        await world.take(flow("10.0.0.1", 5432, "server", container="d" * 64), session=other)
        await world.take(flow("10.0.0.2", 5432, state="closed"))
        assert ends(world) == [("DEPLOYMENT", "id-web", "DEPLOYMENT", "id-db", 5432, False)]
        await world.take(
            flow("10.0.0.1", 5432, "server", "closed", container="d" * 64, at=2000), session=other
        )
        assert ends(world)[1:] == [("DEPLOYMENT", "id-web", "DEPLOYMENT", "id-db", 5432, True)]
        assert world.sent.flows[-1].closed == 2000 * SECOND

    asked(work)


def test_addresses_outside_are_networks_or_the_internet() -> None:
    async def work() -> None:
        world = World(address_grace=0.0)
        world.store.add("web", CONTAINER, "uid-1")
        world.runtime.configure(
            ["203.0.113.0/24", "203.0.113.128/25", "10.9.0.0/16", "nonsense"], apart=False
        )
        for remote in (
            "203.0.113.7",
            "203.0.113.200",
            "203.0.113.0/24",
            "10.9.1.1",
            "10.8.0.1",
            EXTERNAL,
            "198.51.100.7",
        ):
            await world.take(flow(remote))
        assert [(e.destination.type, e.destination.id) for e in world.sent.flows] == [
            ("EXTERNAL_SOURCE", "203.0.113.0/24"),
            ("EXTERNAL_SOURCE", "203.0.113.128/25"),
            ("EXTERNAL_SOURCE", "10.9.0.0/16"),
            ("INTERNAL_ENTITIES", ""),
            ("INTERNET", ""),
        ]
        world.runtime.configure([], apart=True)
        await world.take(flow("198.51.100.8"))
        assert (world.sent.flows[-1].destination.type, world.sent.flows[-1].destination.id) == (
            "INTERNET",
            "198.51.100.8",
        )

    asked(work)


def test_a_flow_to_a_pod_that_is_not_known_yet_waits_for_it_in_its_order() -> None:
    async def work() -> None:
        world = World()
        world.store.add("web", CONTAINER, "uid-1")
        await world.take(flow("10.0.0.2"), flow("10.0.0.2", state="closed", at=1001))
        assert world.sent.flows == []
        world.store.add("db", "d" * 64, "uid-2", ["10.0.0.2"])
        await world.runtime.flush()
        assert ends(world) == [("DEPLOYMENT", "id-web", "DEPLOYMENT", "id-db", 443, True)]
        assert world.session.acknowledged == 1

    asked(work)


def test_a_flow_that_ended_while_the_sensor_was_killed_is_over_at_central() -> None:
    async def work() -> None:
        # The Sensor before this one told of all; the collector has only the ends still.
        world = World()
        world.store.add("web", CONTAINER, "uid-1")
        world.store.add("db", "d" * 64, "uid-2", ["10.0.0.2"])
        world.session.tell = lambda: None
        await world.take(
            flow("10.0.0.2", 5432, state="closed", at=1001),
            flow("203.0.113.1", state="closed"),
            flow("10.0.0.3", state="closed"),  # nobody's any more: whose it was is not made up
        )
        assert ends(world) == [
            ("DEPLOYMENT", "id-web", "DEPLOYMENT", "id-db", 5432, True),
            ("DEPLOYMENT", "id-web", "INTERNET", "", 443, True),
        ]
        assert world.sent.flows[0].seen == world.sent.flows[0].closed == 1001 * SECOND
        # Later an end without a beginning is a limited flow's.
        await world.take(flow("203.0.113.2", 1), flow("203.0.113.3", 1, state="closed"))
        assert ends(world)[2:] == [("DEPLOYMENT", "id-web", "INTERNET", "", 1, False)]
        world.runtime.network.sweep(time.monotonic() + 100, {"node-1"}, 0)
        await world.take(flow("203.0.113.4", 7, state="closed"))
        assert len(world.sent.flows) == 3

    asked(work)


def test_a_collector_that_began_anew_ends_what_it_does_not_tell_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def work() -> None:
        world = World()
        world.store.add("web", CONTAINER, "uid-1")
        listening = Endpoint(
            time=SECOND, container=CONTAINER, protocol="tcp", address="0.0.0.0", port=80, state="open"
        )
        await world.take(flow("203.0.113.1", 1), flow("203.0.113.1", 2), listening)
        second = world.runtime.session("node-1", "second")
        second.tell = lambda: None
        await world.take(flow("203.0.113.1", 1), session=second)
        assert len(world.sent.flows) == 2
        monkeypatch.setattr("redoubt.sensor.runtime.detection.time.monotonic", lambda: 1e12)
        await world.runtime.flush()
        assert [(e.port, e.closed is not None) for e in world.sent.flows[2:]] == [(2, True)]
        assert [(e.port, e.closed is not None) for e in world.sent.endpoints] == [(80, False), (80, True)]

    asked(work)


def test_an_endpoint_is_told_with_the_program_that_listens() -> None:
    async def work() -> None:
        world = World()
        world.store.add("web", CONTAINER, "uid-1")
        listening = Endpoint(
            time=SECOND, container=CONTAINER, protocol="tcp", address="::", port=80, state="open", pid=7
        )
        own = msgspec.structs.replace(listening, address="127.0.0.1", port=81)
        await world.take(process("-l", path="/bin/nc"), listening, own)
        (told,) = world.sent.endpoints
        assert (told.deployment_id, told.pod_id, told.container_name, told.port) == (
            "id-web",
            "web-1",
            "main",
            80,
        )
        assert (told.process_name, told.exec_file_path, told.args, told.closed) == (
            "nc",
            "/bin/nc",
            "-l",
            None,
        )

    asked(work)


def test_a_peer_that_a_locked_network_baseline_does_not_know_is_an_alert() -> None:
    async def work() -> None:
        world = World(FLOWS)
        web = world.store.add("web", CONTAINER, "uid-1", ["10.0.0.1"])
        db = world.store.add("db", "d" * 64, "uid-2", ["10.0.0.2"])
        known = BaselinePeer(entity=Entity(type="DEPLOYMENT", id=db.id), port=5432)
        baseline = DeploymentNetworkBaseline(deployment_id=web.id, locked=True, peers=(known,))
        world.runtime.baselines.take(BaselineSync(whole=True, networks=(baseline,)))
        await world.take(flow("10.0.0.2", 5432), flow("203.0.113.1", 443))
        (alert,) = world.sent.alerts
        assert alert.deployment is not None
        assert alert.deployment.name == "web"
        (violation,) = alert.violations
        assert violation.type == "NETWORK_FLOW"
        assert "'External Entities'" in violation.message

    asked(work)


def test_collectors_wait_where_nothing_can_be_told() -> None:
    async def work() -> None:
        world = World()
        world.store.add("web", CONTAINER, "uid-1")
        events = [process(str(number)) for number in range(1000)]
        data = msgspec.msgpack.encode(events)
        for number in range(1, 21):
            await world.runtime.take(world.session, number, data)
        waiting = asyncio.create_task(world.runtime.take(world.session, 21, data))
        await asyncio.sleep(0)
        assert not waiting.done()
        await world.runtime.flush()
        await waiting

    asked(work)


def test_policies_that_change_count_from_then_on() -> None:
    async def work() -> None:
        world = World()
        world.store.add("web", CONTAINER, "uid-1")
        await world.take(process("1"))
        world.store.policies = PolicySet([SHELL])
        await world.take(process("2"))
        assert len(world.sent.alerts) == 1
        assert world.sent.alerts[0].time <= datetime.now(UTC)

    asked(work)


def test_no_message_is_too_large_however_long_arguments_are() -> None:
    async def work() -> None:
        several = [msgspec.structs.replace(SHELL, id=f"p{number}") for number in range(20)]
        world = World(*several)
        world.store.add("web", CONTAINER, "uid-1")
        await world.take(*(process("\x1b" * 4000, str(number)) for number in range(1000)))
        assert len(world.sent.processes) == 1000
        assert len(world.sent.alerts) == 20
        assert max(each.ByteSize() for each in world.sent.messages) < 3_500_000

    asked(work)


def test_only_so_many_tellers_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("redoubt.sensor.runtime.flows.TELLERS", 10)

    async def work() -> None:
        world = World(address_grace=0.0)
        world.store.add("web", CONTAINER, "uid-1")
        await world.take(*(flow(f"10.5.0.{number}") for number in range(100)))
        await world.runtime.flush()
        assert len(world.sent.flows) == 1
        await world.take(*(flow(f"10.5.0.{number}", state="closed") for number in range(100)))
        assert [each.closed is not None for each in world.sent.flows] == [False, True]

    asked(work)


def test_what_nobody_expected_ends_neither_telling_nor_what_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        world = World(interval=0.01)
        world.store.add("shop", container=CONTAINER)
        failures = [ValueError("odd"), NetworkError("no space")]
        put = world.sent.put

        async def odd(*messages: Any) -> None:
            if failures:
                raise failures.pop()
            await put(*messages)

        monkeypatch.setattr(world.sent, "put", odd)
        running = asyncio.create_task(world.runtime.run())
        await world.runtime.take(world.session, 1, msgspec.msgpack.encode([process()]))
        while not world.sent.processes:
            assert not running.done()
            await asyncio.sleep(0.01)
        running.cancel()
        assert world.session.acknowledged == 1

    asked(work)
