"""Runtime detection put together: batches of collectors in, records and alerts out, each batch acknowledged once they are kept.

A batch is acknowledged when all of its events were told, or given up, and what was told is on the Sensor's disk. Whoever
kills the Sensor before that loses nothing that a Collector still has.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from itertools import islice

import msgspec
import structlog

from redoubt import tasks
from redoubt.errors import RedoubtError
from redoubt.model.noderecords import CollectorHealth, Connection, Endpoint, Event, Flow, Loss, Process, Told
from redoubt.policies.alerts import Alert
from redoubt.sensor.detection.evaluation import encoded
from redoubt.sensor.runtime.alerting import Gathering
from redoubt.sensor.runtime.baselines import Baselines
from redoubt.sensor.runtime.entities import Networks, private
from redoubt.sensor.runtime.flows import AWAY
from redoubt.sensor.runtime.network import Network
from redoubt.sensor.runtime.programs import Programs
from redoubt.sensor.runtime.surroundings import Enforcing, Judging, Outgoing, Place, Workloads
from redoubt.sensor.runtime.waiting import Waiting
from redoubt.wire import clocks
from redoubt.wire.proto.redoubt.v1.sensors_pb2 import AlertResults, FromSensor, Records

_log = structlog.get_logger("sensor.runtime")

#: Seconds for which an event waits for its container, and a flow for the other end's.
GRACE = 20.0
ADDRESS_GRACE = 10.0
#: Seconds for which an address that nobody was found for is not waited for again.
_IN_VAIN = 120.0
_VAIN_ADDRESSES = 1 << 14
#: Seconds between two tellings; events that are told before that.
_INTERVAL = 1.0
_MANY = 2000
#: Events that are taken and not told; beyond it, collectors wait.
_MOST = 20_000
#: Records in a message, and bytes of them: a message may have 4 MB.
_RECORDS = 500
_LARGEST = 1 << 20
#: Messages that are put away together: what is told again where one of them cannot be.
_AT_ONCE = 64
#: Events of one batch between which others may go on.
_BREATH = 256

_decode = msgspec.msgpack.Decoder(list[Told]).decode
_pack = msgspec.msgpack.Encoder().encode


class Ticket:
    """A batch. ``left``: of its events, those that wait."""

    __slots__ = ("left", "number")

    def __init__(self, number: int) -> None:
        self.number = number
        self.left = 1


class Session:
    """One run of a collector, over as many streams as it takes."""

    def __init__(self, node: str, instance: str) -> None:
        self.node = node
        self.instance = instance
        #: One batch after the other, also where a stream is followed by another while one is taken.
        self.taking = asyncio.Lock()
        self.taken = 0
        self.acknowledged = 0
        self.tickets: deque[Ticket] = deque()
        self.health = CollectorHealth()
        self.version = ""
        #: Called when more is acknowledged; None while there is no stream.
        self.tell: Callable[[], None] | None = None
        self.ended = time.monotonic()
        #: Another number each time that it has to tell of all that stands.
        self.again = time.time_ns()
        #: By how many nanoseconds the node's clock is ahead of ours.
        self.ahead = 0

    def clock(self, theirs: int) -> None:
        """The node's clock shows this; 0: not said."""
        if not theirs:
            return
        ahead = clocks.ahead(theirs)
        if bool(ahead) != bool(self.ahead):
            _log.warning(
                "a node's clock differs from ours" if ahead else "a node's clock is right again",
                node=self.node,
                its_clock_is=clocks.told(ahead) if ahead else None,
            )
        self.ahead = ahead

    def settled(self) -> int:
        """The last batch up to which all are done."""
        number = self.acknowledged
        for ticket in self.tickets:
            if ticket.left:
                break
            number = ticket.number
        return number


class _Held(msgspec.Struct, frozen=True, gc=False):
    session: Session
    event: Event
    ticket: Ticket


class Runtime:
    """Give it what collectors tell (``take``), and ``run`` it. On one loop."""

    def __init__(
        self,
        workloads: Workloads,
        judging: Judging,
        enforcing: Enforcing,
        outgoing: Outgoing,
        *,
        grace: float = GRACE,
        address_grace: float = ADDRESS_GRACE,
        interval: float = _INTERVAL,
    ) -> None:
        self._workloads = workloads
        self._judging = judging
        self._enforcing = enforcing
        self._outgoing = outgoing
        self._interval = interval
        self.baselines = Baselines()
        self.programs = Programs(workloads, judging, self.baselines)
        self.network = Network(workloads, judging, self.baselines)
        self._containers: Waiting[_Held] = Waiting(grace)
        self._addresses: Waiting[_Held] = Waiting(address_grace)
        self._vain: dict[str, float] = {}
        self._alerts = Gathering(lambda: judging.cluster)
        self._sessions: dict[str, Session] = {}
        self._more = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._pending = 0
        self._unsent: deque[FromSensor] = deque()
        #: What was lost since the start, by kind: of nodes' events, those that collectors lost and those of unknown containers.
        self.dropped: dict[str, int] = {}
        self._untold = 0

    def configure(self, networks: Iterable[str], *, apart: bool) -> None:
        """The networks outside that are known; ``apart``: addresses outside are told one by one."""
        self.network.networks = Networks(networks, apart=apart)

    def session(self, node: str, instance: str) -> Session:
        """The run of a node's collector that a stream is of."""
        session, now = self._sessions.get(node), time.monotonic()
        anew = session is not None and session.instance != instance
        if session is None or anew:
            session = self._sessions[node] = Session(node, instance)
        elif session.tell is None and now - session.ended >= AWAY:
            # What it told of was ended meanwhile.
            session.again, anew = time.time_ns(), True
        self.network.began(node, now, anew=anew)
        return session

    def away(self, session: Session) -> None:
        """Its stream ended."""
        session.tell = None
        session.ended = time.monotonic()
        if self._sessions.get(session.node) is session:
            self.network.away(session.node, time.monotonic())

    @property
    def sessions(self) -> Sequence[Session]:
        """Of each node, the last."""
        return list(self._sessions.values())

    async def take(self, session: Session, number: int, data: bytes) -> None:
        """One batch. One that cannot be read is counted and passed over: to ask for it again would not help.

        What is begun is taken whole, whoever is cancelled: it would not be taken when it is sent again.
        """
        await self._room.wait()
        await tasks.to_the_end(self._whole(session, number, data))

    async def _whole(self, session: Session, number: int, data: bytes) -> None:
        async with session.taking:
            if not number or number > session.taken:
                await self._batch(session, number, data)

    async def _batch(self, session: Session, number: int, data: bytes) -> None:
        try:
            events = _decode(data)
        except msgspec.MsgspecError:
            self._lost("unreadable", 1)
            events = []
        ticket = Ticket(number)
        if number:
            session.taken = number
            session.tickets.append(ticket)
        now, ahead = datetime.now(UTC), session.ahead
        for at, event in enumerate(events):
            try:
                if ahead:
                    event = msgspec.structs.replace(event, time=event.time - ahead)
                self._take(session, event, ticket, now)
            except Exception as error:  # noqa: BLE001 (one odd event must not keep all after it)
                self._odd(error)
            if at % _BREATH == _BREATH - 1:
                await asyncio.sleep(0)
        ticket.left -= 1
        self._pending += len(events)
        if self._pending >= _MANY:
            self._more.set()
        if self._pending >= _MOST:
            self._room.clear()

    def _take(self, session: Session, event: Event, ticket: Ticket, now: datetime) -> None:
        if isinstance(event, Loss):
            for kind, count in event.lost.items():
                self._lost(kind, count)
            return
        place = None if event.container in self._containers else self._place(event)
        if place is None:
            self._wait(self._containers, event.container, _Held(session, event, ticket))
            return
        self._placed(session, place, event, ticket, now)

    def _placed(self, session: Session, place: Place, event: Event, ticket: Ticket, now: datetime) -> None:
        match event:
            case Process():
                self.programs.take(place, event, self._alerts, now)
            case Endpoint():
                process = self.programs.listening(event.container, event.pid)
                self.network.endpoint(session.node, place, event, process)
            case Flow() if self._unsure(event):
                self._wait(self._addresses, event.remote, _Held(session, event, ticket))
            case Flow():
                self.network.flow(session.node, place, event, self._alerts, now)
            case Connection():  # collectors tell the Sensor of flows
                self._lost("connection", 1)

    def _place(self, event: Event, *, late: bool = False) -> Place | None:
        place = self._workloads.container(event.container, event.pod)
        if place is not None or not event.pod:
            return place
        place = self._workloads.pod(event.pod, late=late)
        return place if place is not None and (place.container_name or late) else None

    def _unsure(self, event: Flow) -> bool:
        """Whether the other end may yet turn out to be somebody's."""
        remote = event.remote
        if remote in self._addresses:
            return True
        return (
            event.state == "open"
            and private(remote)
            and not self._workloads.addressed(remote, event.port)
            and remote not in self._vain
        )

    def _wait(self, where: Waiting[_Held], what: str, held: _Held) -> None:
        held.ticket.left += 1
        lost = where.put(what, held, time.monotonic())
        if lost is not None:
            lost.ticket.left -= 1
            self._lost("waiting", 1)

    def _odd(self, error: Exception) -> None:
        _log.error("an event could not be taken", error=type(error).__name__)
        self._lost("unreadable", 1)

    def _lost(self, kind: str, count: int) -> None:
        self.dropped[kind] = self.dropped.get(kind, 0) + count
        self._untold += count

    async def run(self) -> None:
        """Tell, again and again."""
        failing = ""
        while True:
            try:
                async with asyncio.timeout(self._interval):
                    await self._more.wait()
            except TimeoutError:
                pass
            self._more.clear()
            try:
                await self.flush()
                failing = ""
            except Exception as error:  # noqa: BLE001 (what cannot be told now is told the next time)
                reason = str(error) if isinstance(error, RedoubtError) else type(error).__name__
                if reason != failing:
                    _log.error("nothing can be told", reason=reason)
                failing = reason

    async def flush(self) -> None:
        """Look after those that wait, tell what there is, and acknowledge. What could not be told is told the next time."""
        self._revive()
        now = time.monotonic()
        present = {node for node, each in self._sessions.items() if each.tell is not None}
        self.network.sweep(now, present, time.time_ns())
        self._forget(now)
        self._unsent += self._cut()
        settled = [(each, each.settled()) for each in self._sessions.values()]
        taken = self._pending
        while self._unsent:
            some = list(islice(self._unsent, _AT_ONCE))
            await self._outgoing.put(*some)
            for _ in some:
                self._unsent.popleft()
        self._pending -= taken
        self._room.set()
        for session, number in settled:
            if number > session.acknowledged:
                session.acknowledged = number
                while session.tickets and session.tickets[0].number <= number:
                    session.tickets.popleft()
                if session.tell is not None:
                    session.tell()

    def _forget(self, now: float) -> None:
        """Nodes that are gone for long."""
        for node, session in list(self._sessions.items()):
            if session.tell is None and now - session.ended > 2 * AWAY:
                del self._sessions[node]

    def _revive(self) -> None:
        """Go on with those whose container or other end is known now, or not waited for any longer."""
        now, moment_ = time.monotonic(), datetime.now(UTC)
        for address in [each for each, until in self._vain.items() if until <= now]:
            del self._vain[address]
        self._going_on(self._containers.known(self._is_known), moment_)
        self._going_on(self._containers.expired(now), moment_)
        self._going_on(self._addresses.known(self._is_somebodys), moment_)
        expired = list(self._addresses.expired(now))
        for held in expired:
            if isinstance(held.event, Flow) and len(self._vain) < _VAIN_ADDRESSES:
                self._vain[held.event.remote] = now + _IN_VAIN
        self._going_on(expired, moment_, sure=True)

    def _is_known(self, held: _Held) -> bool:
        return self._workloads.container(held.event.container, held.event.pod) is not None

    def _is_somebodys(self, held: _Held) -> bool:
        event = held.event
        return isinstance(event, Flow) and bool(self._workloads.addressed(event.remote, event.port))

    def _going_on(self, those: Iterable[_Held], now: datetime, *, sure: bool = False) -> None:
        for held in list(those):
            held.ticket.left -= 1
            try:
                self._goes_on(held, now, sure=sure)
            except Exception as error:  # noqa: BLE001 (as when it was taken)
                self._odd(error)

    def _goes_on(self, held: _Held, now: datetime, *, sure: bool) -> None:
        place = self._place(held.event, late=True)
        if place is None:
            self._lost("unresolved", 1)
        elif sure and isinstance(held.event, Flow):
            self.network.flow(held.session.node, place, held.event, self._alerts, now)
        else:
            self._placed(held.session, place, held.event, held.ticket, now)

    def _cut(self) -> list[FromSensor]:
        programs, self.programs.told = self.programs.told, []
        flows, endpoints = self.network.cut()
        messages = [
            *self._records(Records.PROCESSES, programs),
            *self._records(Records.FLOWS, flows),
            *self._records(Records.ENDPOINTS, endpoints),
        ]
        alerts, enforcements = self._alerts.finished()
        # One each: forty programs with their arguments may have a megabyte.
        messages += [
            alerted(deployment, [each]) for deployment, several in alerts.items() for each in several
        ]
        for asked in enforcements:
            try:
                self._enforcing.enforce(asked)
            except Exception as error:  # noqa: BLE001 (what is to be told must not go with it)
                self._odd(error)
        return messages

    def _records(self, kind: Records.Kind.ValueType, records: Sequence[object]) -> Iterable[FromSensor]:
        for at in range(0, len(records), _RECORDS):
            for data in _packed(records[at : at + _RECORDS]):
                dropped, self._untold = self._untold, 0
                yield FromSensor(records=Records(kind=kind, records=data, dropped=dropped))


def _packed(records: Sequence[object]) -> Iterable[bytes]:
    """MessagePack of lists, none of which is too large for a message: arguments are as long as strangers make them."""
    data = _pack(records)
    if len(data) <= _LARGEST or len(records) == 1:
        yield data
        return
    half = len(records) // 2
    yield from _packed(records[:half])
    yield from _packed(records[half:])


def alerted(deployment: str, alerts: Sequence[Alert]) -> FromSensor:
    """Alerts of a deployment, or of none, as Central is told of them: with less of each, where a message cannot hold all."""
    content, _ = encoded(alerts)
    results = AlertResults(stage=AlertResults.RUNTIME, deployment_id=deployment, alerts=content)
    return FromSensor(alerts=results)
