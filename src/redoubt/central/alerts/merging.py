"""What two tellings of the same thing amount to: one alert. Pure, and in any order the same.

Rules: facts of StackRox's ``central/alert/manager``. Processes are kept oldest first, requests and connections newest first,
``MOST_VIOLATIONS`` of each: the first and the last of a set, so that neither the order in which they come nor a
second telling makes a difference.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime

import msgspec

from redoubt.model.happening import Process
from redoubt.policies.alerts import MOST_VIOLATIONS, Alert, AlertViolation, ProcessViolation

#: Characters of a process's arguments that an alert keeps.
MOST_ARGUMENTS = 4096
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
_order = msgspec.json.Encoder(order="deterministic")


def merged(one: Alert, other: Alert) -> Alert:
    """Two RUNTIME or ATTEMPTED alerts of one policy about one thing. ``id`` is that of ``one``; the later says what the thing is."""
    last = max(one, other, key=lambda each: (each.time, _order.encode(each)))
    return msgspec.structs.replace(
        last,
        id=one.id,
        time=max(one.time, other.time),
        first_occurred=min(began(one), began(other)),
        violations=violations((*one.violations, *other.violations)),
        process_violation=_processes(one.process_violation, other.process_violation),
        enforcement=last.enforcement or one.enforcement or other.enforcement,
    )


def kept(alert: Alert, now: datetime) -> Alert:
    """An alert as it is kept: nothing in it is from the future, nothing longer than it has to be."""
    process = alert.process_violation
    return msgspec.structs.replace(
        alert,
        time=_past(alert.time, now),
        first_occurred=min(_past(began(alert), now), _past(alert.time, now)),
        violations=violations(_timely(each, now) for each in alert.violations),
        process_violation=None if process is None else _processes(process, None),
        resolved_at=None,
    )


def began(alert: Alert) -> datetime:
    """When it first occurred."""
    return alert.first_occurred or alert.time


def violations(given: Iterable[AlertViolation]) -> tuple[AlertViolation, ...]:
    """Each once; what has a moment before what has none, newest first."""
    found = {_order.encode(each): each for each in given}
    several = sorted(
        found.items(), key=lambda item: (item[1].time is not None, item[1].time or _BEGINNING, item[0])
    )
    return tuple(each for _, each in several[::-1][:MOST_VIOLATIONS])


def pods(alert: Alert) -> set[str]:
    """The pods in which its processes were started."""
    process = alert.process_violation
    return {each.pod_uid or each.pod_id for each in process.processes} if process is not None else set()


def _past(moment: datetime, now: datetime) -> datetime:
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return min(moment, now)


def _timely(given: AlertViolation, now: datetime) -> AlertViolation:
    return given if given.time is None else msgspec.structs.replace(given, time=_past(given.time, now))


def _processes(one: ProcessViolation | None, other: ProcessViolation | None) -> ProcessViolation | None:
    found: dict[str, Process] = {}
    for each in (*(one.processes if one else ()), *(other.processes if other else ())):
        short = _shortened(each)
        key = _key(short)
        if (there := found.get(key)) is None or _rank(short) < _rank(there):
            found[key] = short
    if not found:
        return max((each for each in (one, other) if each is not None), key=_order.encode, default=None)
    several = sorted(found.values(), key=_rank)
    processes = tuple(several[:MOST_VIOLATIONS])
    return ProcessViolation(message=_message(processes), processes=processes)


def _key(process: Process) -> str:
    """Which process it is: its identifier; what it says of itself where it has none."""
    return process.id or hashlib.sha256(_order.encode(process)).hexdigest()


def _rank(process: Process) -> tuple[datetime, bytes]:
    signal = process.signal
    started = _BEGINNING if signal is None or signal.time is None else signal.time
    return started, _order.encode(process)


def _shortened(process: Process) -> Process:
    signal = process.signal
    if signal is None or len(signal.args) <= MOST_ARGUMENTS:
        return process
    return msgspec.structs.replace(
        process, signal=msgspec.structs.replace(signal, args=signal.args[: MOST_ARGUMENTS - 1] + "…")
    )


def _message(processes: tuple[Process, ...]) -> str:
    paths = list(dict.fromkeys(_path(each) for each in processes))
    users = sorted({each.signal.uid for each in processes if each.signal is not None})
    who = f" as user {users[0]}" if len(users) == 1 else f" as {len(users)} users" if users else ""
    if len(processes) == 1:
        arguments = processes[0].signal.args if processes[0].signal is not None else ""
        told = f" with {_shown(arguments)}" if arguments else ""
        return f"{paths[0]} was started{told}{who}"
    more = f" and {len(paths) - 3} more" if len(paths) > 3 else ""
    return f"{len(processes)} processes were started{who}: {', '.join(paths[:3])}{more}"


def _path(process: Process) -> str:
    signal = process.signal
    return _shown("" if signal is None else signal.exec_file_path or signal.name)


def _shown(text: str) -> str:
    short = text if len(text) <= 200 else text[:199] + "…"
    return repr(short)
