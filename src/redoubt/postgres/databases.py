"""Databases made on a server that is there already, by a role that may make them."""

from __future__ import annotations

from urllib.parse import quote, urlsplit, urlunsplit

import asyncpg

from redoubt.postgres.pool import again


def named(url: str, database: str) -> str:
    """``url`` with another database's name in it."""
    return urlunsplit(urlsplit(url)._replace(path="/" + quote(database, safe="")))


async def ensure(url: str, database: str, *, through: str = "postgres", template: str | None = None) -> str:
    """Make ``database`` on ``url``'s server where it is not there yet, and return its URL. Raises our errors."""
    quoted = '"' + database.replace('"', '""') + '"'
    copied = ' TEMPLATE "' + template.replace('"', '""') + '"' if template else ""

    async def make() -> None:
        connection = await asyncpg.connect(named(url, through))
        try:
            await connection.execute(f"CREATE DATABASE {quoted}{copied}")
        except asyncpg.DuplicateDatabaseError:
            pass
        finally:
            await connection.close()

    await again(make, url=url)
    return named(url, database)
