"""The embedded server, with every PostgreSQL that is here: made, ended, killed, left behind and found again."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg
import pytest

from redoubt.errors import DatabaseError
from redoubt.postgres import leftovers
from redoubt.postgres.binaries import Binaries, find
from redoubt.postgres.embedded import Embedded
from support.postgres import FAST, chosen, reachable_folder

ALL = find()
SERVERS = [pytest.param(each, id=str(each.major)) for each in ALL]


@pytest.fixture
def folder() -> Iterator[Path]:
    made = reachable_folder()
    yield made / "pg"
    assert leftovers.processes(made.resolve() / "pg" / "data") == []
    shutil.rmtree(made, ignore_errors=True)


def ask(server: Embedded, *statements: str, database: str = "central") -> object:
    async def run() -> object:
        connection = await asyncpg.connect(server.url(database))
        try:
            for statement in statements[:-1]:
                await connection.execute(statement)
            return await connection.fetchval(statements[-1])
        finally:
            await connection.close()

    return asyncio.run(run())


def until(what: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.skipif(not ALL, reason="no PostgreSQL: install Debian's postgresql, or the extra 'postgres'")
@pytest.mark.parametrize("binaries", SERVERS)
def test_made_stopped_and_started_again_it_keeps_what_it_was_given(folder: Path, binaries: Binaries) -> None:
    server = Embedded(folder, binaries=binaries)
    server.start()
    server.start()
    assert ask(server, "CREATE TABLE a (i int)", "INSERT INTO a VALUES (7)", "SELECT i FROM a") == 7
    assert ask(server, "SELECT current_setting('server_version_num')::int / 10000") == binaries.major
    assert ask(server, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user") is False
    assert ask(server, "SHOW listen_addresses") == ""
    assert ask(server, "SELECT count(*) FROM pg_database WHERE datname = 'scanner'", database="scanner") == 1
    server.stop()
    server.stop()
    assert server.pid is None
    with Embedded(folder) as found:  # the programs of the cluster's own version are chosen
        assert ask(found, "SELECT i FROM a") == 7


def test_only_the_password_opens_it_and_only_we_can_read_that(folder: Path) -> None:
    with Embedded(folder, binaries=chosen(), settings=FAST) as server:
        password = folder / "password"
        assert password.stat().st_mode & 0o777 == 0o600
        assert password.stat().st_uid == os.geteuid()
        assert password.read_text().split(":")[-1].strip() not in server.url("central")
        for user in ("redoubt", "postgres"):
            with pytest.raises(asyncpg.PostgresError):
                asyncio.run(
                    asyncpg.connect(server.url("central"), user=user, password="guess", passfile="/dev/null")
                )
        assert (folder / "data" / "pg_hba.conf").read_text() == "local all all scram-sha-256\n"


def test_a_killed_postmaster_is_started_again_and_loses_nothing(folder: Path) -> None:
    said: list[str] = []
    with Embedded(folder, binaries=chosen(), told=said.append) as server:
        ask(server, "CREATE TABLE a AS SELECT generate_series(1, 1000) AS i", "SELECT 1")
        for _ in range(2):
            killed = server.pid
            assert killed is not None
            os.kill(killed, signal.SIGKILL)
            until(lambda killed=killed: server.pid not in (None, killed))
            until(lambda: _answers(server))
            assert ask(server, "SELECT count(*) FROM a") == 1000
    assert said == ["PostgreSQL ended by itself (signal 9) and is started again"] * 2


def _answers(server: Embedded) -> bool:
    try:
        return ask(server, "SELECT 1") == 1
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return False


_CHILD = """
import sys, time
from pathlib import Path
from redoubt.postgres.embedded import Embedded
server = Embedded(Path(sys.argv[1]))
server.start()
print(server.pid, flush=True)
time.sleep(600)
"""


def _another_redoubt(folder: Path) -> tuple[subprocess.Popen[str], int]:
    child = subprocess.Popen([sys.executable, "-c", _CHILD, str(folder)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    return child, int(child.stdout.readline())


def test_it_ends_with_whoever_started_it(folder: Path) -> None:
    chosen()
    child, postmaster = _another_redoubt(folder)
    with pytest.raises(DatabaseError, match="another Redoubt is running"):
        Embedded(folder).start()
    child.kill()
    child.wait()
    until(lambda: not Path(f"/proc/{postmaster}").exists())
    with Embedded(folder) as server:
        assert ask(server, "SELECT 1") == 1


def test_a_postmaster_left_behind_is_ended_cleanly_before_another_is_started(folder: Path) -> None:
    with Embedded(folder, binaries=chosen(), settings=FAST) as server:
        ask(server, "CREATE TABLE a AS SELECT 7 AS i", "SELECT 1")
        command = Path(f"/proc/{server.pid}/cmdline").read_bytes().split(b"\0")[:-1]
    user = (folder / "data").stat().st_uid
    as_user = {"user": user} if os.geteuid() == 0 else {}
    orphan = subprocess.Popen(command, cwd="/", stderr=subprocess.DEVNULL, **as_user)
    until(lambda: "ready" in _read(folder / "data" / "postmaster.pid"))
    with Embedded(folder, settings=FAST) as server:
        assert orphan.wait(10) == 0
        assert ask(server, "SELECT i FROM a") == 7


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def test_a_lock_file_that_names_another_programs_pid_is_no_hindrance(folder: Path) -> None:
    with Embedded(folder, binaries=chosen(), settings=FAST):
        lock = (folder / "data" / "postmaster.pid").read_text().splitlines()
    bystander = subprocess.Popen(["sleep", "600"])
    try:
        (folder / "data" / "postmaster.pid").write_text("\n".join([str(bystander.pid), *lock[1:]]) + "\n")
        with Embedded(folder, settings=FAST) as server:
            assert ask(server, "SELECT 1") == 1
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_a_start_that_was_killed_half_way_is_begun_anew(folder: Path) -> None:
    chosen()
    child = subprocess.Popen([sys.executable, "-c", _CHILD, str(folder)], stdout=subprocess.DEVNULL)
    until(lambda: any(folder.glob("data.new-*/base")))
    child.kill()
    child.wait()
    with Embedded(folder) as server:
        assert ask(server, "SELECT 1") == 1
    assert not list(folder.glob("*.new*"))


def test_what_a_killed_start_had_begun_is_ended_before_its_remains_go(folder: Path, tmp_path: Path) -> None:
    binaries, draft = chosen(), folder / "data.new-0"
    draft.mkdir(parents=True)
    program = shutil.which("sleep")
    assert program is not None
    begun = subprocess.Popen([shutil.copy(program, tmp_path / "postgres"), "600"], cwd=draft)
    try:
        with Embedded(folder, binaries=binaries, settings=FAST) as server:
            assert begun.wait(60) != 0
            assert ask(server, "SELECT 1") == 1
        assert not list(folder.glob("*.new*"))
    finally:
        begun.kill()
        begun.wait()


def test_why_it_did_not_start_is_said(folder: Path) -> None:
    server = Embedded(folder, binaries=chosen(), settings={**FAST, "shared_buffers": "nonsense"})
    with pytest.raises(DatabaseError, match=r"did not start:.*shared_buffers"):
        server.start()
    with Embedded(folder, settings=FAST) as server:  # nothing of the failure stays
        assert ask(server, "SELECT 1") == 1


def test_data_of_a_version_that_is_not_here_is_refused_and_stays(folder: Path) -> None:
    with Embedded(folder, binaries=chosen(), settings=FAST):
        pass
    version = folder / "data" / "PG_VERSION"
    kept = version.read_text()
    version.write_text("9\n")
    with pytest.raises(DatabaseError, match="is PostgreSQL 9's"):
        Embedded(folder).start()
    version.write_text(kept)
    with Embedded(folder, settings=FAST) as server:
        assert ask(server, "SELECT 1") == 1


def test_a_data_folder_with_a_long_name_has_its_socket_in_a_short_one(folder: Path) -> None:
    with Embedded(folder / ("long" * 40), binaries=chosen(), settings=FAST) as server:
        assert ask(server, "SELECT 1") == 1


def test_its_log_does_not_grow_without_end(folder: Path) -> None:
    with Embedded(folder, binaries=chosen(), settings=FAST) as server:
        log = server.log
    with log.open("ab") as file:
        file.write(b"x" * 3_000_000)
    with Embedded(folder, settings=FAST) as server:
        assert server.log.stat().st_size < 100_000
        assert server.log.with_name("log.1").stat().st_size <= 2 * 1024 * 1024


def test_root_never_runs_it(folder: Path) -> None:
    with Embedded(folder, binaries=chosen(), settings=FAST) as server:
        status = Path(f"/proc/{server.pid}/status").read_text()
        uids = next(line for line in status.splitlines() if line.startswith("Uid:")).split()[1:]
        groups = next(line for line in status.splitlines() if line.startswith("Groups:")).split()[1:]
        assert "0" not in uids
        assert os.geteuid() != 0 or groups == []


def test_started_from_a_thread_that_ends_it_goes_on(folder: Path) -> None:
    """The kernel takes the end of the thread that forked for the parent's death."""
    chosen()
    script = textwrap.dedent(
        """
        import sys, threading, time
        from pathlib import Path
        from redoubt.postgres.embedded import Embedded
        server = Embedded(Path(sys.argv[1]))
        thread = threading.Thread(target=server.start)
        thread.start(); thread.join()
        first = server.pid
        time.sleep(0.5)
        assert first is not None and server.pid == first
        server.stop()
        """
    )
    subprocess.run([sys.executable, "-c", script, str(folder)], check=True)
