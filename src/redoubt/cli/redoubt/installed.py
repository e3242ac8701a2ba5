"""``redoubt central reconfigure`` and ``reset-password``: what only whoever has the database may change.

The database is the one that Central's settings name, else that of ``redoubt up``, which is started for as long as it takes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from redoubt.cli import settings as places
from redoubt.cli.console import Console
from redoubt.cli.entry import HELP, Configured, Folder
from redoubt.errors import UsageError

if TYPE_CHECKING:
    from redoubt.central.store import Pool

T = TypeVar("T")

_CONFIG = click.option(
    "--config",
    "config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Central's YAML file with settings, as `redoubt central` is given it.",
)
_DATA = click.option(
    "--data",
    type=Folder(),
    help="The folder of a `redoubt up`, which has to be stopped. Default: where `redoubt up` keeps it.",
)


@click.command(cls=Configured, context_settings=HELP)
@click.option(
    "--offline/--online", "offline", required=True, default=None, help="What Central may contact from now on."
)
@_CONFIG
@_DATA
def reconfigure(offline: bool, config: Path | None, data: Path | None) -> None:
    """Make an online Central offline, or the other way round, from its next start on.

    \b
    redoubt central reconfigure --online --data ~/.local/share/redoubt/up
    """
    from redoubt.central import mode

    changed = _with_database(config, data, lambda pool: mode.reconfigure(pool, offline=offline))
    word = "offline" if offline else "online"
    Console().done(f"Central is {word} from its next start on" if changed else f"Central is {word} already")


@click.command("reset-password", cls=Configured, context_settings=HELP)
@_CONFIG
@_DATA
def reset_password(config: Path | None, data: Path | None) -> None:
    """Give the administrator a new password and print it once. A Central that runs takes it at once.

    \b
    REDOUBT_CENTRAL_DATABASE_URL=postgresql://… redoubt central reset-password
    """
    from redoubt.central.auth.passwords import reset
    from redoubt.central.store.accounts import AccountStore

    made = _with_database(config, data, lambda pool: reset(AccountStore(pool)))
    console = Console()
    console.notice("the administrator's new password, shown this once:")
    click.echo(made)


def _with_database(config: Path | None, data: Path | None, work: Callable[[Pool], Awaitable[T]]) -> T:
    from redoubt.central import config as settings
    from redoubt.postgres.embedded import Embedded

    url = settings.load(config).database_url
    if url and data is not None:
        raise UsageError("the settings name a database; leave --data out")
    if url:
        return asyncio.run(_done(url, work))
    folder = (data or places.data_dir() / "up").absolute() / "postgres"
    if not (folder / "data").is_dir():
        raise UsageError(
            f"no database is named, and {folder.parent} is not a folder of `redoubt up`; see --data"
        )
    with Embedded(folder) as database:
        return asyncio.run(_done(database.url("central"), work))


async def _done(url: str, work: Callable[[Pool], Awaitable[T]]) -> T:
    from redoubt.postgres import migrations
    from redoubt.postgres import pool as pools

    pool = await pools.connect(url, maximum=2, application="redoubt-central-administration")
    try:
        await migrations.migrate(pool, "redoubt.central.migrations")
        return await work(pool)
    finally:
        await pools.close(pool)
