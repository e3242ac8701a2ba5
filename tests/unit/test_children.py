"""Work in a child process: results and errors come back, and nothing outlives who asked."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from redoubt import children
from redoubt.errors import DefinitionsRefused, RedoubtError

HERE = "unit.test_children"


class Asked(msgspec.Struct):
    text: str


class Told(msgspec.Struct):
    text: str
    process: int


def shout(asked: Asked) -> Told:
    print("noise on standard output")
    return Told(asked.text.upper(), os.getpid())


def refuse(asked: Asked) -> Told:
    raise DefinitionsRefused(f"no {asked.text}; get another")


def perish(asked: Asked) -> Told:
    os.kill(os.getpid(), signal.SIGKILL)
    return Told("", 0)


def sleep(asked: Asked) -> Told:
    Path(asked.text).write_text(str(os.getpid()))
    time.sleep(60)
    return Told("", 0)


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))


def test_result_comes_back_from_another_process_whatever_it_prints() -> None:
    told = asyncio.run(children.run(f"{HERE}:shout", Asked("hallo"), Told))
    assert told.text == "HALLO"
    assert told.process != os.getpid()


def test_error_of_ours_is_raised_as_itself() -> None:
    with pytest.raises(DefinitionsRefused, match=r"^no bread; get another$"):
        asyncio.run(children.run(f"{HERE}:refuse", Asked("bread"), Told))


def test_child_that_is_killed_is_told_with_its_signal() -> None:
    with pytest.raises(RedoubtError, match="signal 9"):
        asyncio.run(children.run(f"{HERE}:perish", Asked(""), Told))


def test_who_gives_up_waiting_leaves_no_process_behind(tmp_path: Path) -> None:
    async def give_up() -> None:
        task = asyncio.create_task(children.run(f"{HERE}:sleep", Asked(str(tmp_path / "pid")), Told))
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(give_up())
    assert not _alive(int((tmp_path / "pid").read_text()))


def test_child_dies_when_its_parent_is_killed(tmp_path: Path) -> None:
    program = (
        "import asyncio, sys\nfrom redoubt import children\nfrom unit.test_children import Asked, Told\n"
        f"asyncio.run(children.run('{HERE}:sleep', Asked(sys.argv[1]), Told))"
    )
    parent = subprocess.Popen([sys.executable, "-c", program, str(tmp_path / "pid")])
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        assert parent.poll() is None
        time.sleep(0.01)
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 60
    while _alive(int((tmp_path / "pid").read_text())) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not _alive(int((tmp_path / "pid").read_text()))


def _alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:  # also where it goes between opening and reading
        return False
    return state != "Z"
