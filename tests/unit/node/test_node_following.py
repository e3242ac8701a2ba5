from __future__ import annotations

from pathlib import Path

import pytest

from redoubt.node import following
from redoubt.node.following import LogFollower
from redoubt.wire.proto.redoubt.v1.secured_pb2 import AuditLines


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "audit.log"


def add(path: Path, *lines: str, end: str = "\n") -> None:
    with path.open("a") as file:
        file.write("\n".join(lines) + end)


def everything(follower: LogFollower) -> list[str]:
    found: list[str] = []
    for _ in range(10):
        found += [line.decode() for line in follower.read()]
    return found


def test_what_was_there_before_is_not_told_and_what_comes_is(log: Path, tmp_path: Path) -> None:
    add(log, "old")
    follower = LogFollower(log, tmp_path / "state")
    assert everything(follower) == []
    add(log, "new", "", "newer")
    add(log, "hal", end="")
    assert everything(follower) == ["new", "newer"]
    add(log, "f")
    assert everything(follower) == ["half"]


def test_a_log_that_is_begun_later_is_told_from_its_beginning(log: Path) -> None:
    follower = LogFollower(log, None)
    assert everything(follower) == []
    add(log, "first")
    assert everything(follower) == ["first"]


def test_after_a_restart_it_goes_on_where_it_was_committed(log: Path, tmp_path: Path) -> None:
    add(log, "old")
    state = tmp_path / "state"
    follower = LogFollower(log, state)
    follower.read()
    add(log, "a")
    assert everything(follower) == ["a"]
    follower.commit()
    add(log, "b")
    assert everything(follower) == ["b"]
    follower.close()  # killed before it could commit
    add(log, "c")
    assert everything(LogFollower(log, state)) == ["b", "c"]


def test_a_rotation_loses_and_repeats_nothing(log: Path, tmp_path: Path) -> None:
    add(log, "old")
    follower = LogFollower(log, tmp_path / "state")
    follower.read()
    add(log, "a")
    log.rename(tmp_path / "audit-2099-01-01T00-00-00.000.log")
    assert everything(follower) == ["a"]
    add(log, "b")
    assert everything(follower) == ["b"]


def test_what_was_rotated_away_while_it_was_down_is_told_first(log: Path, tmp_path: Path) -> None:
    add(log, "old")
    state = tmp_path / "state"
    follower = LogFollower(log, state)
    follower.read()
    add(log, "a")
    everything(follower)
    follower.commit()
    follower.close()
    add(log, "b")
    log.rename(tmp_path / "audit-2099-01-01T00-00-00.000.log")
    add(log, "c")
    assert everything(LogFollower(log, state)) == ["b", "c"]


def test_several_rotations_while_it_was_down_are_told_in_their_order(log: Path, tmp_path: Path) -> None:
    add(log, "old")
    state = tmp_path / "state"
    follower = LogFollower(log, state)
    follower.read()
    add(log, "a")
    everything(follower)
    follower.commit()
    follower.close()
    for number in range(3):
        add(log, f"{number}")
        log.rename(tmp_path / f"audit-2099-01-0{number + 1}T00-00-00.000.log")
    (tmp_path / "audit-2099-01-02T00-00-00.000.log.gz").write_bytes(b"packed")
    add(log, "now")
    follower = LogFollower(log, state)
    found: list[str] = []
    for _ in range(10):
        found += everything(follower)
        follower.commit()
    assert found == ["0", "1", "2", "now"]


def test_a_file_that_is_gone_is_given_up(log: Path, tmp_path: Path) -> None:
    add(log, "old")
    state = tmp_path / "state"
    follower = LogFollower(log, state)
    follower.read()
    add(log, "a")
    everything(follower)
    follower.commit()
    follower.close()
    # Another file must not get its number.
    add(tmp_path / "other", "x")
    log.rename(tmp_path / "elsewhere")
    add(log, "b")
    assert everything(LogFollower(log, state)) == ["b"]


def test_a_log_that_was_emptied_is_told_from_its_beginning(log: Path) -> None:
    add(log, "old")
    follower = LogFollower(log, None)
    follower.read()
    add(log, "a long line that makes it longer than it will be")
    everything(follower)
    log.write_text("")
    everything(follower)
    add(log, "b")
    assert everything(follower) == ["b"]


def test_what_was_not_taken_is_given_again(log: Path) -> None:
    log.touch()
    follower = LogFollower(log, None)
    follower.read()
    add(log, "a")
    everything(follower)
    follower.commit()
    add(log, "b")
    assert everything(follower) == ["b"]
    follower.again()
    assert everything(follower) == ["b"]


def test_a_line_that_never_ends_is_passed_over(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "LONGEST", 100)
    log.touch()
    follower = LogFollower(log, None)
    follower.read()
    add(log, "x" * 1000, "after")
    found: list[bytes] = []
    for _ in range(100):
        found += follower.read(64)
    assert found == [b"after"]
    assert follower.passed_over == 1
    follower.commit()
    add(log, "more")
    follower.again()
    assert everything(follower) == ["more"]


@pytest.mark.parametrize("length", [1, 1000, 1 << 20, 2 << 20, 3 << 20])
def test_what_is_read_at_once_fits_into_a_message(log: Path, length: int) -> None:
    log.touch()
    follower = LogFollower(log, None)
    follower.read()
    # The longest line ends as late as it can, and lines as short as can be follow.
    log.write_bytes(b"x" * length + b"\n" + b"y\n" * (1 << 19) + b"x" * length + b"\n" + b"y\n" * (1 << 19))
    largest = 0
    for _ in range(20):
        if lines := follower.read():
            largest = max(largest, AuditLines(node_name="n" * 253, lines=lines).ByteSize())
    assert follower.passed_over == (2 if length > following.LONGEST else 0)
    assert 0 < largest < 4 << 20


@pytest.mark.parametrize(
    "state", ["", "nonsense", "[]", '{"inode": "x"}', '{"inode": 1, "device": 2, "offset": 99}']
)
def test_a_spoilt_memory_is_none(log: Path, tmp_path: Path, state: str) -> None:
    add(log, "old")
    (tmp_path / "state").write_text(state)
    follower = LogFollower(log, tmp_path / "state")
    everything(follower)
    add(log, "new")
    assert everything(follower)[-1] == "new"


def test_another_agent_goes_on_where_the_last_one_was(log: Path, tmp_path: Path) -> None:
    add(log, "old")
    first = LogFollower(log, None)
    assert first.position == b""
    assert everything(first) == []
    where = first.position  # known before anything came
    add(log, "one")
    second = LogFollower(log, None)
    second.resume(where)
    assert everything(second) == ["one"]
    after = second.position
    add(log, "two")
    log.rename(log.with_name("audit-1.log"))
    add(log, "three")
    third = LogFollower(log, tmp_path / "state")
    third.resume(after)
    assert [line.decode() for line in third.read()] == ["two"]
    third.commit()
    fourth = LogFollower(log, tmp_path / "state")
    fourth.resume(where)  # it knows better
    assert everything(fourth) == ["three"]


@pytest.mark.parametrize("said", [b"", b"x", b"[]", b"{}", b'{"inode": "x"}', b"\xff"])
def test_what_is_no_position_is_none(log: Path, said: bytes) -> None:
    add(log, "old")
    follower = LogFollower(log, None)
    follower.resume(said)
    assert follower.read() == []
    add(log, "new")
    assert everything(follower) == ["new"]
