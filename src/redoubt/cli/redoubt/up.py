"""``redoubt up``: Central, Indexer, Matcher and PostgreSQL in one process tree, on one machine.

This process only starts the others, looks after them and ends them. Whoever of them dies is started again; they
all die with this one, however it ends. Only Central listens outside.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import click

from redoubt.cli import settings
from redoubt.cli.console import Console
from redoubt.cli.entry import HELP, Folder, require
from redoubt.cli.redoubt import upsettings
from redoubt.cli.redoubt.serving import READY_FD
from redoubt.configuration import LOG_LEVELS
from redoubt.errors import AccessDenied, RedoubtError, UsageError

if TYPE_CHECKING:
    from redoubt.cli.redoubt.leaves import Leaves

#: Seconds that a service may take to start, and to end before it is made to.
_START, _STOP = 120.0, 15.0
#: Seconds to wait before starting again who died, by how often it did lately.
_AGAIN = (0.0, 0.5, 2.0, 5.0, 15.0, 30.0)
#: Seconds between two looks at whether certificates end soon.
_LOOK = 3600.0


@dataclass
class Child:
    """A service: how it is started, and how it is doing."""

    name: str
    environment: dict[str, str]
    process: subprocess.Popen[bytes] | None = None
    began: float = 0.0
    deaths: int = 0
    again_at: float = 0.0
    said: dict[str, object] = field(default_factory=dict)

    def also(self, wanted: Mapping[str, Mapping[str, str]]) -> None:
        """Take what somebody wants of this service. Raises ``UsageError`` for what `redoubt up` decides itself."""
        for variable, value in wanted.get(self.name, {}).items():
            if variable in self.environment:
                name = variable.split("_", 2)[2].lower()
                raise UsageError(f"--set {self.name}.{name}: `redoubt up` decides that itself")
            self.environment[variable] = value


@click.command(context_settings=HELP)
@click.option("--data", type=Folder(), help="Where everything is kept.")
@click.option(
    "--offline/--online",
    "offline",
    default=None,
    help="Whether Central may contact the internet. Fixed at the first start; offline unless said.",
)
@click.option("--host", default="", help="The address that Central listens on. Default: every one.")
@click.option(
    "--port", default=8443, show_default=True, type=click.IntRange(0, 65535), help="Central's port."
)
@click.option("--ca", "ca", type=click.Path(path_type=Path), help="Where to put Central's CA certificate.")
@click.option(
    "--starter/--no-starter",
    "starter",
    default=True,
    help="Whether the first start loads the starter definitions, which are dated. Default: yes.",
)
@click.option(
    "--set",
    multiple=True,
    metavar="SERVICE.NAME=VALUE",
    help="A setting of the central, the indexer or the matcher (docs/configuration.md). Repeatable.",
)
@click.option(
    "--log-level",
    type=click.Choice(LOG_LEVELS, case_sensitive=False),
    default="warn",
    show_default=True,
    help="What the services say.",
)
def up(
    data: Path | None,
    offline: bool | None,
    host: str,
    port: int,
    ca: Path | None,
    starter: bool,
    set: tuple[str, ...],  # noqa: A002  # called as on the command line
    log_level: str,
) -> None:
    """Run all of Redoubt on this machine: Central, Indexer, Matcher and their database.

    The first start makes the CA, the administrator's password (printed once, or taken from ROX_ADMIN_PASSWORD)
    and loads the starter definitions. Ctrl-C stops everything; nothing that was stored is lost, not even by kill -9.

    \b
    redoubt up                                             then, in another terminal:
    roxctl -p PASSWORD scanner upload-db --scanner-db-file today.zip
    roxctl -p PASSWORD image scan -i registry.local/shop:1.4 -o table
    """
    from redoubt.wire import ports

    console = Console()
    wanted = upsettings.wanted(set)
    upsettings.warn_of_variables(console)
    folder = (data or settings.data_dir() / "up").absolute()
    _keep_others_out()
    with ExitStack() as stack:
        _only_one(folder, stack)
        ports.check("" if _every(host) else host, port)
        supervisor = Supervisor(folder, console)
        stack.callback(supervisor.stop)
        with _signals(supervisor):
            supervisor.start(
                offline=offline, host=host, port=port, starter=starter, log_level=log_level, wanted=wanted
            )
            _welcome(supervisor.place, console, _put_ca(folder, ca, console))
            supervisor.watch()


class Supervisor:
    """The process tree below ``data``."""

    def __init__(self, data: Path, console: Console) -> None:
        self._data = data
        self._console = console
        self._stopping = False
        self._children: list[Child] = []
        self._wake, self._waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._postgres: object | None = None
        self._leaves: Leaves | None = None
        #: Where Central is, for people: host and port.
        self.place = ""

    def start(
        self,
        *,
        offline: bool | None,
        host: str,
        port: int,
        starter: bool,
        log_level: str,
        wanted: Mapping[str, Mapping[str, str]],
    ) -> None:
        """Start all of it, in order; returns when Central answers. ``wanted`` are variables by service, beside ours.

        Raises ``RedoubtError``.
        """
        from redoubt.cli.redoubt.leaves import Leaves
        from redoubt.postgres.embedded import Embedded
        from redoubt.wire import ports
        from redoubt.wire.identity import Service

        database = Embedded(self._data / "postgres", told=self._console.warn)
        database.start()
        self._postgres = database
        leaves = self._leaves = Leaves(self._data, ports.names(*([] if _every(host) else [host])))
        leaves.renew()
        self._warn_of_the_authority()
        indexer, matcher = ports.free(2)
        common = {"LOGLEVEL": log_level}
        scanner = {
            **common,
            "REDOUBT_SCANNER_HOST": "127.0.0.1",
            "REDOUBT_SCANNER_HEALTH_PORT": "0",
            "REDOUBT_SCANNER_LOG_FORMAT": "console",
        }
        self._children = [
            Child(
                "indexer",
                {
                    **scanner,
                    "REDOUBT_SCANNER_PORT": str(indexer),
                    "REDOUBT_SCANNER_DATABASE_URL": database.url("scanner"),
                    "REDOUBT_SCANNER_DATA": str(self._data / "indexer"),
                    "REDOUBT_SCANNER_CERTIFICATES": str(leaves.folder(Service.SCANNER_V4_INDEXER)),
                },
            ),
            Child(
                "central",
                {
                    **common,
                    "REDOUBT_CENTRAL_HOST": host,
                    "REDOUBT_CENTRAL_PORT": str(port),
                    "REDOUBT_CENTRAL_DATABASE_URL": database.url("central"),
                    "REDOUBT_CENTRAL_DATA": str(self._data / "central"),
                    "REDOUBT_CENTRAL_CERTIFICATES": str(leaves.folder(Service.CENTRAL)),
                    "REDOUBT_CENTRAL_CA": str(self._data / "ca"),
                    "REDOUBT_CENTRAL_INDEXER": f"127.0.0.1:{indexer}",
                    "REDOUBT_CENTRAL_MATCHER": f"127.0.0.1:{matcher}",
                    "REDOUBT_CENTRAL_LOG_FORMAT": "console",
                    "REDOUBT_CENTRAL_STARTER": str(starter).lower(),
                    **({} if offline is None else {"REDOUBT_CENTRAL_OFFLINE": str(offline).lower()}),
                    "REDOUBT_CENTRAL_DEFAULT_OFFLINE": "true",
                },
            ),
        ]
        for child in self._children:
            child.also(wanted)
        for child, reading in [(child, self._begin(child)) for child in self._children]:
            self._await_ready(child, reading)
        central = self._children[-1]
        said = central.said.get("port")
        port = said if isinstance(said, int) else port
        self.place = f"{'localhost' if _every(host) else _reachable(host)}:{port}"
        central.environment["REDOUBT_CENTRAL_PORT"] = str(port)
        child = Child(
            "matcher",
            {
                **scanner,
                "REDOUBT_SCANNER_PORT": str(matcher),
                "REDOUBT_SCANNER_DATA": str(self._data / "central"),
                "REDOUBT_SCANNER_SHARED_SHELF": "true",
                "REDOUBT_SCANNER_CERTIFICATES": str(leaves.folder(Service.SCANNER_V4_MATCHER)),
                "REDOUBT_SCANNER_CENTRAL": f"{_reachable(host)}:{port}",
                "REDOUBT_SCANNER_INDEXER": f"127.0.0.1:{indexer}",
            },
        )
        child.also(wanted)
        self._children.append(child)
        self._await_ready(child, self._begin(child))

    def watch(self) -> None:
        """Look after the services until told to stop."""
        look = time.monotonic() + _LOOK
        while not self._stopping:
            if time.monotonic() >= look:
                self._renew()
                look = time.monotonic() + _LOOK
            wait = max(0.0, look - time.monotonic())
            for child in self._children:
                if child.process is None:
                    wait = min(wait, max(0.0, child.again_at - time.monotonic()))
                    if child.again_at <= time.monotonic():
                        os.close(self._begin(child))  # nobody waits for its word this time
            handles = {
                os.pidfd_open(child.process.pid): child
                for child in self._children
                if child.process is not None
            }
            try:
                ready, _, _ = select.select([self._wake, *handles], [], [], wait)
            finally:
                for handle in handles:
                    os.close(handle)
            for handle in ready:
                if handle in handles:
                    self._died(handles[handle])

    def tell_to_stop(self) -> None:
        """From a signal handler: end ``start`` or ``watch``. A second time: end at once."""
        if self._stopping:
            os._exit(130)
        self._stopping = True
        with suppress(OSError):
            os.write(self._waker, b"x")

    def stop(self) -> None:
        """End the services, those first that call the others, and PostgreSQL last."""
        self._stopping = True
        for child in reversed(self._children):
            if child.process is not None and child.process.poll() is None:
                child.process.terminate()
        until = time.monotonic() + _STOP
        for child in reversed(self._children):
            if child.process is not None:
                try:
                    child.process.wait(max(0.0, until - time.monotonic()))
                except subprocess.TimeoutExpired:
                    self._console.warn(f"the {child.name} did not stop in time and is killed")
                    child.process.kill()
                    child.process.wait()
        stop = getattr(self._postgres, "stop", None)
        if stop is not None:
            stop()

    def _begin(self, child: Child) -> int:
        """Start it; the end of a pipe on which it says when it is ready."""
        from redoubt.children import bound

        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("REDOUBT_CENTRAL_", "REDOUBT_SCANNER_", "REDOUBT_DATA_DIR"))
        }
        reading, writing = os.pipe()
        try:
            child.process = subprocess.Popen(
                [sys.executable, "-m", "redoubt", child.name],
                env={**inherited, **child.environment, READY_FD: str(writing)},
                stdin=subprocess.DEVNULL,
                pass_fds=(writing,),
                start_new_session=True,  # Ctrl-C is for us
                preexec_fn=bound(signal.SIGTERM),  # one thread here starts and ends all of them
            )
        finally:
            os.close(writing)
        child.began = time.monotonic()
        return reading

    def _await_ready(self, child: Child, reading: int) -> None:
        """Wait for the line that a service writes when it listens. Raises ``RedoubtError`` where it dies first."""
        until = time.monotonic() + _START
        said = b""
        try:
            while not said.endswith(b"\n"):
                ready, _, _ = select.select([reading, self._wake], [], [], max(0.0, until - time.monotonic()))
                if self._stopping:
                    self._last_words(child, reading, said)
                    raise _Stopped
                if not ready:
                    raise RedoubtError(f"the {child.name} did not start within {_START:.0f} s")
                chunk = os.read(reading, 65536)
                if not chunk:
                    assert child.process is not None
                    child.process.wait(_STOP)
                    raise RedoubtError(f"the {child.name} did not start; its own words are above")
                said += chunk
        finally:
            os.close(reading)
        self._heard(child, said)

    def _last_words(self, child: Child, reading: int, said: bytes) -> None:
        """End one that was starting; what it said meanwhile would else be lost."""
        assert child.process is not None
        child.process.terminate()
        until = time.monotonic() + _STOP
        while select.select([reading], [], [], max(0.0, until - time.monotonic()))[0]:
            if not (chunk := os.read(reading, 65536)):
                break
            said += chunk
        if said.endswith(b"\n"):
            self._heard(child, said)

    def _heard(self, child: Child, said: bytes) -> None:
        child.said = json.loads(said)
        # At once: it is stored already, and nobody could know it if something went wrong from here on.
        if password := child.said.get("password"):
            self._console.done(f"The administrator's password, shown this once: {password}")

    def _died(self, child: Child) -> None:
        assert child.process is not None
        code = child.process.wait()
        lived = time.monotonic() - child.began
        child.deaths = 1 if lived > 60 else child.deaths + 1
        pause = _AGAIN[min(child.deaths, len(_AGAIN)) - 1]
        child.process, child.again_at = None, time.monotonic() + pause
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        self._console.warn(f"the {child.name} ended by itself ({how}) and is started again")

    def _renew(self) -> None:
        """See to certificates that end soon. What cannot be done now is tried again at the next look."""
        assert self._leaves is not None
        try:
            self._leaves.renew()
            self._warn_of_the_authority()
        except (OSError, RedoubtError) as error:
            self._console.warn(f"certificates were not made anew: {error}")

    def _warn_of_the_authority(self) -> None:
        assert self._leaves is not None
        if ends := self._leaves.ends_with_its_authority():
            self._console.warn(
                f"the CA in {self._data / 'ca'} ends at {ends:%Y-%m-%d}; exchange it (docs/wire.md, Exchange the CA)"
            )


class _Stopped(Exception):
    """Told to stop while starting."""


@contextmanager
def _signals(supervisor: Supervisor) -> Iterator[None]:
    def tell(*_: object) -> None:
        supervisor.tell_to_stop()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, tell)
    with suppress(_Stopped):
        yield


def _keep_others_out() -> None:
    """Whatever the umask of whoever starts us: nobody else writes what we and our children make."""
    os.umask(os.umask(0o022) | 0o022)


def _only_one(folder: Path, stack: ExitStack) -> None:
    try:
        if not folder.is_dir():
            folder.mkdir(parents=True)
            folder.chmod(0o711)  # PostgreSQL's user passes through it
        for name in ("central", "certificates", "indexer"):
            (folder / name).mkdir(exist_ok=True, mode=0o700)
        lock = os.open(folder / "up.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise AccessDenied(
            f"cannot write to {folder}: {error.strerror}; name another folder with --data"
        ) from None
    stack.callback(os.close, lock)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise UsageError(
            f"another `redoubt up` runs on {folder}; stop it, or name another folder with --data"
        ) from None


def _default_ca() -> Path:
    """Where roxctl looks for it."""
    return Path(os.environ.get("ROX_CONFIG_DIR") or Path("~/.roxctl").expanduser()) / "ca.pem"


def _put_ca(folder: Path, wanted: Path | None, console: Console) -> Path:
    """Copy the CA's certificate to where roxctl looks for it; say where."""
    from redoubt.definitions import durable

    place = wanted or _default_ca()
    data = (folder / "ca" / "ca.pem").read_bytes()
    with suppress(OSError):
        if place.read_bytes() == data:
            return place
    try:
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if place.exists():
            console.notice(f"{place} was another Central's; it is kept as {place.name}.old")
            place.replace(place.with_name(f"{place.name}.old"))
        durable.replace(place, data)
    except OSError as error:
        require(wanted is None, f"cannot write {place}: {error.strerror}; name another file with --ca")
        return folder / "ca" / "ca.pem"
    return place


def _welcome(place: str, console: Console, ca: Path) -> None:
    console.done(f"Redoubt is up: https://{place}")
    looked_for = ca == _default_ca()
    if looked_for:
        console.done(f"roxctl trusts it by {ca}; for another machine copy that file and give it as --ca")
    else:
        console.done(f"Its CA is in {ca}; give roxctl that file as --ca, or put it at {_default_ca()}")
    said = "" if looked_for else f" --ca {shlex.quote(str(ca))}"
    console.done(f"Try: roxctl -e {place}{said} central whoami       Ctrl-C stops everything")


def _every(host: str) -> bool:
    """Whether it stands for every address of this machine."""
    return host in ("", "0.0.0.0", "::", "*")  # noqa: S104


def _reachable(host: str) -> str:
    """How Central is reached from this machine, by the address that it listens on."""
    if _every(host):
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
