"""``redoubt central``, ``redoubt indexer`` and ``redoubt matcher``: one service each, until it is told to stop."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from pathlib import Path
from typing import Protocol

import click
import msgspec

from redoubt import configuration
from redoubt.cli.console import Console
from redoubt.cli.entry import HELP, Configured, LazyGroup
from redoubt.errors import UsageError

_INSTALLED = "redoubt.cli.redoubt.installed"

#: A file descriptor that a service writes one line to when it is ready (``Ready``), and closes. Set by `redoubt up`.
READY_FD = "REDOUBT_READY_FD"


class Ready(msgspec.Struct, frozen=True):
    """What a service says once it listens. ``password`` is the administrator's, where one was just made."""

    port: int
    password: str = ""


class Listening(Protocol):
    """What the services give while they run."""

    @property
    def port(self) -> int: ...


CONFIG = click.option(
    "--config",
    "config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A YAML file with settings; the environment is stronger. See docs/configuration.md.",
)
SET = click.option(
    "--set",
    multiple=True,
    allow_from_autoenv=False,
    metavar="NAME=VALUE",
    help="A setting; stronger than the environment. Repeatable.",
)


@click.group(
    cls=LazyGroup,
    invoke_without_command=True,
    context_settings=HELP,
    commands_at={
        "reconfigure": (f"{_INSTALLED}:reconfigure", "Change between online and offline."),
        "reset-password": (f"{_INSTALLED}:reset_password", "Give the administrator a new password."),
    },
)
@CONFIG
@SET
@click.pass_context
def central(ctx: click.Context, config: Path | None, set: tuple[str, ...]) -> None:  # noqa: A002  # called as on the command line
    """Run Central: the API, who may use it, and what is kept of images and definitions.

    \b
    REDOUBT_CENTRAL_DATABASE_URL=postgresql://… redoubt central --config central.yaml
    """
    if ctx.invoked_subcommand is not None:
        if config is not None:
            raise UsageError(f"write --config after {ctx.invoked_subcommand}")
        if set:
            raise UsageError(f"--set says nothing to {ctx.invoked_subcommand}")
        return
    from redoubt.central import config as settings
    from redoubt.central.serving import central as serve

    flags = configuration.given(settings.Settings, set)
    given = settings.load(config, flags=flags)
    logging(given.log_level, given.log_format)
    run(lambda: serve(given))


@click.command(cls=Configured, context_settings=HELP)
@CONFIG
@SET
def indexer(config: Path | None, set: tuple[str, ...]) -> None:  # noqa: A002  # called as on the command line
    """Run an Indexer: it reads images out of registries and keeps what is in them in its database.

    \b
    REDOUBT_SCANNER_DATABASE_URL=postgresql://… redoubt indexer
    """
    from redoubt.scanner import config as settings
    from redoubt.scanner.serving import indexer as serve

    flags = configuration.given(settings.Settings, set)
    given = settings.load(config, flags=flags)
    logging(given.log_level, given.log_format)
    run(lambda: serve(given))


@click.command(cls=Configured, context_settings=HELP)
@CONFIG
@SET
def matcher(config: Path | None, set: tuple[str, ...]) -> None:  # noqa: A002  # called as on the command line
    """Run a Matcher: it keeps to Central's definitions and tells what they say of images.

    \b
    REDOUBT_SCANNER_CENTRAL=central.stackrox.svc:443 redoubt matcher
    """
    from redoubt.scanner import config as settings
    from redoubt.scanner.serving import matcher as serve

    flags = configuration.given(settings.Settings, set)
    given = settings.load(config, flags=flags)
    logging(given.log_level, given.log_format)
    run(lambda: serve(given))


def run(serve: Callable[[], AbstractAsyncContextManager[Listening]]) -> None:
    """Serve until SIGTERM or SIGINT; a second one ends it at once."""
    from redoubt.egress import guard

    guard.run(_until_told(serve))


async def _until_told(serve: Callable[[], AbstractAsyncContextManager[Listening]]) -> None:
    told = asyncio.Event()
    started = asyncio.Event()
    loop = asyncio.get_running_loop()

    def tell() -> None:
        if told.is_set():
            os._exit(130)
        told.set()
        if not started.is_set():  # whoever is still starting is not waited for
            work.cancel()

    async def served() -> None:
        async with serve() as service:
            started.set()
            announce(Ready(service.port, getattr(service, "password", "")))
            ended = getattr(service, "ended", None)  # one that may end of itself
            if ended is None:
                await told.wait()
                return
            waiting = asyncio.ensure_future(told.wait())
            await asyncio.wait([waiting, ended], return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            if ended.done():
                ended.result()

    work = asyncio.ensure_future(served())
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, tell)
    with suppress(asyncio.CancelledError):
        await work


def announce(ready: Ready) -> None:
    """Tell whoever started this service that it is there; nothing where nobody waits for that."""
    if fd := os.environ.get(READY_FD, ""):
        with suppress(OSError, ValueError), os.fdopen(int(fd), "wb") as out:
            out.write(msgspec.json.encode(ready) + b"\n")
    elif ready.password:
        Console().done(f"The administrator's password, shown this once: {ready.password}")


def logging(level: str, form: str) -> None:
    from redoubt.central import logs

    logs.configure(level, form)
