"""``redoubt up`` where it is started oddly: by whom, from where, with what in its way. It starts, or says in a line why not."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from support.postgres import chosen, reachable_folder
from support.up import Up

ROOT = os.geteuid() == 0
ODD = 'pässwörd ☃ :@/%"$`\\'
#: Python that takes every byte beyond ASCII for one that it cannot read.
C_LOCALE = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.fixture
def folder() -> Iterator[Path]:
    chosen()
    made = reachable_folder()
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def refused(folder: Path, *words: str, code: int) -> str:
    """The one line with which `redoubt up` ends at once."""
    done = subprocess.run(
        [sys.executable, "-m", "redoubt", "up", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == code, done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    return done.stderr


def test_a_port_that_is_taken_is_told_before_anything_is_made(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        said = refused(folder, "--data", str(folder / "data"), "--port", port, code=6)
    assert f"port {port} (Address already in use); name another one" in said
    assert not (folder / "data" / "postgres").exists()


def test_an_address_that_is_not_this_machines_is_told(folder: Path) -> None:
    said = refused(folder, "--data", str(folder / "data"), "--host", "192.0.2.1", "--port", "0", code=6)
    assert "cannot listen on 192.0.2.1" in said


def test_a_folder_that_cannot_be_is_told(folder: Path) -> None:
    (folder / "file").write_text("")
    assert "is empty" in refused(folder, "--data", "", code=2)
    assert "is a file" in refused(folder, "--data", str(folder / "file"), code=2)
    assert "name another folder" in refused(folder, "--data", str(folder / "file" / "data"), code=5)
    assert sorted(path.name for path in folder.iterdir()) == ["file"]


@pytest.mark.skipif(not ROOT, reason="only root mounts")
def test_a_folder_on_a_medium_that_cannot_be_written_is_told(folder: Path) -> None:
    place = folder / "readonly"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "ro,size=1m", "tmpfs", place], check=False)
    if mounted.returncode:
        pytest.skip("mounting is not allowed here")
    try:
        assert "Read-only file system" in refused(folder, "--data", str(place / "data"), code=5)
        assert "Read-only file system" in refused(folder, "--data", str(place), code=5)
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


@pytest.mark.parametrize("umask", ["077", "000"])
def test_whatever_the_umask_it_starts_and_nobody_else_writes_what_it_makes(folder: Path, umask: str) -> None:
    with Up(folder, prefix=("sh", "-c", f'umask {umask}; exec "$@"', "sh")) as up:
        assert up.call("GET", "/v1/ping")[0] == 200
        parts = [up.data / name for name in ("ca", "central", "certificates", "indexer")]
        assert {stat.S_IMODE(part.stat().st_mode) for part in parts} == {0o700}
        everything = [path for path in up.data.rglob("*") if not path.is_symlink()]
        shared = [path for path in everything if path.exists() and path.stat().st_mode & 0o022]
        assert [path for path in shared if not path.is_socket()] == []


def test_without_a_home_streams_or_a_known_locale_and_with_an_odd_password(folder: Path) -> None:
    given = C_LOCALE | {"ROX_ADMIN_PASSWORD": ODD, "REDOUBT_UP_CA": str(folder / "its ca.pem")}
    prefix = ("env", "-u", "HOME", "-u", "XDG_CONFIG_HOME", "sh", "-c", 'exec "$@" <&- >&-', "sh")
    with Up(folder, arguments=("--host", "127.0.0.2"), environment=given, prefix=prefix) as up:
        up.endpoint = f"127.0.0.2:{up.port}"
        assert f"https://{up.endpoint}" in up.output()
        assert f"Try: roxctl -e {up.endpoint} --ca '{folder}/its ca.pem' central whoami" in up.output()
        up.config.mkdir()
        shutil.copy(folder / "its ca.pem", up.config / "ca.pem")
        plain = {**up.environment, "LC_ALL": "C.UTF-8", "PYTHONUTF8": "1"}
        for environment in (plain, plain | C_LOCALE):
            for words in ((), ("-p", ODD)):
                told = environment if not words else environment | {"ROX_ADMIN_PASSWORD": ""}
                done = subprocess.run(
                    [
                        sys.executable,
                        "-c",
                        "from redoubt.cli.roxctl import main; main()",
                        "-e",
                        up.endpoint,
                        *words,
                        "central",
                        "whoami",
                    ],
                    env=told,
                    capture_output=True,
                    timeout=60,
                )
                assert done.returncode == 0, done.stderr
        bytes_of_another = {os.fsencode(name): os.fsencode(value) for name, value in plain.items()}
        bytes_of_another[b"ROX_ADMIN_PASSWORD"] = ODD.encode("latin-1", "ignore")
        done = subprocess.run(
            [sys.executable, "-c", "from redoubt.cli.roxctl import main; main()", "central", "whoami"],
            env=bytes_of_another,
            capture_output=True,
            timeout=60,
        )
        assert done.returncode == 2
        assert b"ROX_ADMIN_PASSWORD is no UTF-8" in done.stderr


def _python_for(user: int) -> str:
    """An interpreter of this version that ``user`` may run with what is installed here."""
    told = {"PYTHONPATH": os.pathsep.join(sys.path)}
    as_user = {"user": user, "group": user, "extra_groups": []}
    for candidate in (sys.executable, f"/usr/bin/python3.{sys.version_info.minor}"):
        command = [candidate, "-c", "import redoubt.central.serving"]
        with suppress(OSError):
            if not subprocess.run(command, env=told, cwd="/", capture_output=True, **as_user).returncode:  # type: ignore[call-overload]
                return candidate
    pytest.skip("no Python here that an ordinary user may run")


@pytest.mark.skipif(not ROOT, reason="the other tests are run by an ordinary user already")
def test_an_ordinary_user_runs_all_of_it(folder: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    python = _python_for(nobody.pw_uid)
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    prefix = ("setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups")
    told = {"PYTHONPATH": os.pathsep.join(sys.path)}
    with Up(folder, prefix=prefix, python=python, environment=told) as up:
        assert up.call("GET", "/v1/ping")[0] == 200
        owners = set()
        for pid in up.tree():
            with suppress(FileNotFoundError):  # PostgreSQL's workers come and go
                owners.add(Path(f"/proc/{pid}").stat().st_uid)
        assert owners == {nobody.pw_uid}


def test_told_to_stop_while_it_starts_it_stops_and_the_next_start_is_whole(folder: Path) -> None:
    up = Up(folder)
    for after in (0.5, 1.5, 3.0, 5.0):
        up.begin()
        time.sleep(after)
        code = up.stop()
        # On a busy machine Python itself may not be there yet, and nothing was begun.
        assert code == 0 or (code == -signal.SIGTERM and not (up.data / "postgres").exists()), up.output()
        assert "Traceback" not in up.output()
    with up:
        assert up.call("GET", "/v1/ping")[0] == 200


def test_a_password_that_was_made_is_told_though_the_start_does_not_end(folder: Path) -> None:
    up = Up(folder, environment={"ROX_ADMIN_PASSWORD": ""})
    up.begin()
    up.await_word("shown this once")  # Central is there; the Matcher is not yet
    assert up.stop() == 0
    made = re.findall(r"shown this once: (\S+)", up.output())
    assert len(made) == 1
    with up:
        assert up.printed_password() == ""
        assert up.roxctl("central", "whoami", ROX_ADMIN_PASSWORD=made[0]).returncode == 0
