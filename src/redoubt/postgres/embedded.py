"""A PostgreSQL of our own, for one machine: made at the first start, reached by a unix socket, gone when we are.

It listens on no network. It ends with the process that started it, however that one ends; when it dies itself it
is started again. What an earlier process of ours left running is ended first, so that no data folder ever has two.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

from redoubt.children import bound
from redoubt.errors import DatabaseError
from redoubt.postgres import cluster, leftovers, place
from redoubt.postgres.binaries import Binaries

_SOCKET_PATH_LIMIT = 100  # bytes; the kernel's is 107, and PostgreSQL adds a name of its own
_PORT = 5432  # a part of the socket's name only
_LOG_BYTES = 2 * 1024 * 1024
_LOG_LOOKED_AT_MS = 10_000
_READY_SECONDS = 300.0  # replaying the log after a crash takes long, and is shown to go on
_STOP_SECONDS = 30.0
_RESTART_SECONDS = (0.0, 0.2, 1.0, 5.0)

# What differs from PostgreSQL's defaults, and why.
_SETTINGS: Mapping[str, str] = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "port": str(_PORT),
    "jit": "off",  # it compiles for longer than our queries run
    "shared_buffers": "128MB",
    "work_mem": "16MB",
    "maintenance_work_mem": "128MB",
    "max_wal_size": "2GB",
    "random_page_cost": "1.1",  # an SSD, or the page cache
    "log_timezone": "UTC",
    "timezone": "UTC",
    "password_encryption": "scram-sha-256",
}


class Embedded:
    """One cluster below ``folder``: ``data/``, ``run/`` (the socket), ``log``, ``password`` and ``lock``.

    ``user``: whom PostgreSQL runs as where we are root (default: whose the cluster is, else ``postgres`` or
    ``nobody``). ``databases`` are made with the cluster; others by ``databases.ensure``. ``settings`` are
    PostgreSQL's, over ours. ``told`` is called with a line whenever PostgreSQL died and is started again.
    """

    def __init__(
        self,
        folder: Path,
        user: str | None = None,
        *,
        binaries: Binaries | None = None,
        databases: Sequence[str] = ("central", "scanner"),
        settings: Mapping[str, str] | None = None,
        told: Callable[[str], None] | None = None,
    ) -> None:
        self._wanted = folder
        self._user_name = user
        self._binaries = binaries
        self._databases = databases
        self._settings = {**_SETTINGS, **(settings or {})}
        self._told = told or (lambda line: None)
        self._folder = folder
        self._lock = -1
        self._changing = threading.Lock()  # held while a child begins, ends or is signalled
        self._stopping = False
        self._child: subprocess.Popen[bytes] | None = None
        self._keeper: threading.Thread | None = None
        self._failure: BaseException | None = None
        self._served = False  # since start() was called
        self._socket = folder

    @property
    def log(self) -> Path:
        """What PostgreSQL says, and beside it ``log.1`` with what it said before; neither much over 2 MB."""
        return self._folder / "log"

    @property
    def pid(self) -> int | None:
        """The postmaster's pid, for those who want to see it die."""
        child = self._child
        return child.pid if child is not None and child.returncode is None else None

    def url(self, database: str) -> str:
        """Where ``database`` is reached, as a URL without a secret: it names the file (0600, ours) that holds it."""
        query = f"host={quote(str(self._socket), safe='')}&port={_PORT}&passfile={quote(str(self._password), safe='')}"
        return f"postgresql://{cluster.ROLE}@/{quote(database, safe='')}?{query}"

    def start(self) -> None:
        """Return once it answers. Blocking; a second call does nothing. Raises ``DatabaseError``."""
        if self._keeper is not None:
            return
        user = place.owner(self._user_name, self._wanted / "data")
        self._folder = place.folder(self._wanted, user)
        self._take_lock()
        try:
            using = cluster.programs(self._data, self._binaries)
            leftovers.end(self._data)
            if cluster.version(self._data) is None:
                cluster.make(self._data, self._password, user, using, self._databases)
            self._check_owner(user)
            self._socket = self._socket_folder(user)
            self._stopping = False
            self._failure = None
            self._served = False
            self._keeper = threading.Thread(
                target=self._keep, args=(user, using), name="postgres", daemon=True
            )
            self._keeper.start()
            self._wait_until_ready()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End it: connections are cut, what is committed stays. Blocking; without effect where it does not run."""
        with self._changing:
            self._stopping = True
            if self._child is not None:
                _signal(self._child, signal.SIGINT)
        if self._keeper is not None:
            self._keeper.join(_STOP_SECONDS)
            if self._keeper.is_alive() and self._child is not None:
                _signal(self._child, signal.SIGQUIT)
                self._keeper.join()
            self._keeper = None
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def __enter__(self) -> Embedded:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    @property
    def _password(self) -> Path:
        return self._folder / "password"

    def _take_lock(self) -> None:
        handle = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(handle)
            raise DatabaseError(
                f"another Redoubt is running on {self._folder}; stop it, or give this one another data folder"
            ) from None
        self._lock = handle

    def _check_owner(self, user: place.Owner) -> None:
        found = self._data.stat().st_uid
        if found != user.uid:
            raise DatabaseError(
                f"the database in {self._data} belongs to user {found}, and PostgreSQL would run as {user.name}; "
                "start Redoubt as the user who made it, or change the owner of that folder and all in it"
            )

    def _socket_folder(self, user: place.Owner) -> Path:
        folder = self._folder / "run"
        if len(os.fsencode(folder)) + len(f"/.s.PGSQL.{_PORT}") > _SOCKET_PATH_LIMIT:
            # A socket's path may not be longer; where the data folder's is, the socket lies in a short one.
            folder = Path(tempfile.mkdtemp(prefix="redoubt-", dir="/tmp"))
        folder.mkdir(mode=0o700, exist_ok=True)
        if user.change:
            os.chown(folder, user.uid, user.gid)
        return folder

    def _wait_until_ready(self) -> None:
        until = time.monotonic() + _READY_SECONDS
        while time.monotonic() < until:
            if self._failure is not None:
                raise self._failure
            child = self._child
            if child is not None and _ready(self._data, child.pid):
                self._served = True
                return
            time.sleep(0.01)
        raise DatabaseError(f"PostgreSQL was not ready after {_READY_SECONDS:.0f} s; see {self.log}")

    # Everything below runs in the keeper's thread. It lives as long as PostgreSQL does: the kernel takes the end
    # of the thread that forked for the parent's death.

    def _keep(self, user: place.Owner, using: Binaries) -> None:
        deaths = 0
        try:
            while True:
                began = time.monotonic()
                child = self._spawn(user, using)
                if child is None:
                    return
                self._attend(child)
                if self._stopping:
                    return
                if not self._served:
                    raise DatabaseError(
                        f"PostgreSQL did not start: {_last_words(self.log)} (all of it: {self.log})"
                    )
                deaths = 1 if time.monotonic() - began > 60 else deaths + 1
                self._told(f"PostgreSQL ended by itself ({_how(child.returncode)}) and is started again")
                time.sleep(_RESTART_SECONDS[min(deaths, len(_RESTART_SECONDS)) - 1])
                leftovers.end(self._data)
        except BaseException as error:  # noqa: BLE001 - handed to the one who waits for the start
            self._failure = error
            self._told(f"PostgreSQL is not started again: {error}")

    def _spawn(self, user: place.Owner, using: Binaries) -> subprocess.Popen[bytes] | None:
        settings = {**self._settings, "unix_socket_directories": str(self._socket)}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        self._limit_log()
        log = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            with self._changing:
                if self._stopping:
                    return None
                self._child = subprocess.Popen(
                    [using.postgres, "-D", self._data, *options],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd="/",
                    env=dict(cluster.ENVIRONMENT),
                    start_new_session=True,  # Ctrl-C is for us; we end it when our work with it is done
                    preexec_fn=bound(signal.SIGINT),
                    text=False,  # said, so that the type is that of bytes whatever the rest may be
                    **user.as_child,
                )
                return self._child
        finally:
            os.close(log)

    def _attend(self, child: subprocess.Popen[bytes]) -> None:
        """Wait until ``child`` ends, and keep its log short."""
        handle = os.pidfd_open(child.pid)
        try:
            waiting = select.poll()
            waiting.register(handle, select.POLLIN)
            while not waiting.poll(_LOG_LOOKED_AT_MS):
                self._limit_log()
        finally:
            os.close(handle)
        child.wait()

    def _limit_log(self) -> None:
        # Emptied in place: PostgreSQL's processes have it open, and append.
        with suppress(FileNotFoundError):
            if self.log.stat().st_size > _LOG_BYTES:
                with self.log.open("rb") as full:
                    full.seek(-_LOG_BYTES, os.SEEK_END)
                    tail = full.read(_LOG_BYTES)
                self.log.with_name("log.1").write_bytes(tail)
                os.truncate(self.log, 0)


def _ready(data: Path, pid: int) -> bool:
    """PostgreSQL's own mark, which ``pg_ctl`` reads too: the eighth line of its lock file."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except (OSError, ValueError):
        return False
    return len(lines) >= 8 and lines[0] == str(pid) and lines[7].strip() == "ready"


def _signal(child: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        child.send_signal(number)


def _how(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def _last_words(log: Path) -> str:
    try:
        lines = log.read_text(errors="replace").splitlines()[-40:]
    except OSError:
        return "it said nothing"
    loud = [line for line in lines if "FATAL:" in line or "PANIC:" in line] or lines[-1:]
    return loud[-1].split("FATAL:")[-1].strip() if loud else "it said nothing"
