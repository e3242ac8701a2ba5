"""Alerts merged: in any order, however often, the same."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import reduce

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from redoubt.central.alerts.merging import MOST_ARGUMENTS, kept, merged, pods
from redoubt.central.alerts.receiving import read
from redoubt.policies.alerts import MOST_VIOLATIONS, Alert, ProcessViolation, moved
from support.alerts import THEN, alert, killed, process, ran, violated

NOW = datetime(2026, 6, 1, tzinfo=UTC)

_processes = st.builds(
    lambda number, after: process(
        f"/bin/tool-{number % 3}", after, id=f"process-{number}", pod_uid=f"pod-{number % 4}"
    ),
    st.integers(0, 60),
    st.integers(0, 5),
)
_violations = st.builds(
    violated,
    st.sampled_from(["kubectl exec", "port-forward", "attach"]),
    st.one_of(st.none(), st.integers(0, 50)),
    st.sampled_from(["K8S_EVENT", "NETWORK_FLOW"]),
)
_alerts = st.builds(
    lambda number, processes, violations, after, enforced: msgspec.structs.replace(
        ran(*processes),
        id=f"alert-{number}",
        violations=tuple(violations),
        time=THEN + timedelta(seconds=after),
        enforcement=killed() if enforced else None,
    ),
    st.integers(0, 1000),
    st.lists(_processes, max_size=45),
    st.lists(_violations, max_size=45),
    st.integers(0, 100),
    st.booleans(),
)


def together(alerts: list[Alert]) -> Alert:
    return msgspec.structs.replace(reduce(merged, [kept(each, NOW) for each in alerts]), id="")


@given(st.lists(_alerts, min_size=1, max_size=5), st.randoms(use_true_random=False), st.data())
def test_any_order_and_any_resend_make_the_same(
    alerts: list[Alert], random: object, data: st.DataObject
) -> None:
    expected = together(alerts)
    again = data.draw(st.permutations(alerts + data.draw(st.lists(st.sampled_from(alerts), max_size=4))))
    assert together(again) == expected
    assert len(expected.violations) <= MOST_VIOLATIONS
    if expected.process_violation is not None:
        assert len(expected.process_violation.processes) <= MOST_VIOLATIONS


def test_processes_are_oldest_first_and_events_newest_first() -> None:
    old, new = process(after=1), process(after=9)
    one = kept(ran(new), NOW)
    other = msgspec.structs.replace(kept(ran(old), NOW), violations=(violated("a", 1), violated("b", 9)))
    found = merged(one, other)
    assert found.process_violation is not None
    assert [each.id for each in found.process_violation.processes] == [old.id, new.id]
    assert [each.message for each in found.violations] == ["b", "a"]


def test_more_than_is_kept_leaves_the_first_processes_and_the_last_events() -> None:
    many = [kept(ran(process(after=at, id=str(at))), NOW) for at in range(60)]
    found = reduce(merged, many)
    assert found.process_violation is not None
    assert [each.id for each in found.process_violation.processes] == [
        str(at) for at in range(MOST_VIOLATIONS)
    ]
    events = [kept(alert(violations=(violated(str(at), at),)), NOW) for at in range(60)]
    assert [each.message for each in reduce(merged, events).violations][:2] == ["59", "58"]


def test_moments_of_the_future_become_now() -> None:
    far = NOW + timedelta(days=36_500)
    one = kept(
        alert(time=far, first_occurred=far, violations=(msgspec.structs.replace(violated("x"), time=far),)),
        NOW,
    )
    assert (one.time, one.first_occurred, one.violations[0].time) == (NOW, NOW, NOW)
    assert kept(alert(time=datetime(2026, 1, 1)), NOW).time == THEN.replace(hour=0)  # noqa: DTZ001  # without a zone


def test_long_arguments_are_shortened_and_odd_ones_shown_safely() -> None:
    found = kept(ran(process("/bin/\x1b[31msh\n", args="x" * 128 * 1024)), NOW).process_violation
    assert found is not None
    assert found.processes[0].signal is not None
    assert len(found.processes[0].signal.args) == MOST_ARGUMENTS
    assert "\x1b" not in found.message
    assert "\n" not in found.message


def test_what_is_said_of_no_process_is_the_same_in_any_order() -> None:
    said = [
        msgspec.structs.replace(alert(), process_violation=ProcessViolation(message=each)) for each in "ab"
    ]
    assert together(said) == together(said[::-1])
    assert together([*said, alert()]).process_violation == ProcessViolation(message="b")


def test_pods_of_an_alert() -> None:
    assert pods(ran(process(pod_uid="a"), process(pod_uid="b"), process(pod_uid="a"))) == {"a", "b"}
    assert pods(alert()) == set()


def test_moments_of_a_clock_that_is_wrong_are_put_right() -> None:
    by = timedelta(days=2)
    right = msgspec.structs.replace(
        ran(process(after=3), time=THEN, first_occurred=THEN - by), violations=(violated("x", 5),)
    )
    wrong = moved(right, -by)
    assert (wrong.time, wrong.first_occurred) == (THEN - by, THEN - 2 * by)
    assert moved(wrong, by) == right
    assert moved(alert(time=datetime.max.replace(tzinfo=UTC)), by).time.year == 9999


def test_more_alerts_than_a_sensor_would_send_at_once_are_counted_and_not_read() -> None:
    content = msgspec.json.encode([alert()] + [0] * 20_000)
    assert [len(read(content)[0]), read(content)[1]] == [1, 20_000]
