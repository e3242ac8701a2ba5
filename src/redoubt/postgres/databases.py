"""Databases made on a server that is there already, by a role that may make them."""

from __future__ import annotations

from urllib.parse import parse_qs, quote, unquote, urlsplit, urlunsplit

import asyncpg

from redoubt.postgres.pool import again


def named(url: str, database: str) -> str:
    """``url`` with another database's name in it."""
    return urlunsplit(urlsplit(url)._replace(path="/" + quote(database, safe="")))


def hosts(url: str) -> frozenset[str]:
    """The hosts that a URL names, in lower case: of its authority and of its ``host``; sockets are none."""
    try:
        parts = urlsplit(url)
        asked = parse_qs(parts.query).get("host", [])
    except ValueError:
        return frozenset()
    places = parts.netloc.rpartition("@")[2].split(",") + [one for text in asked for one in text.split(",")]
    found = set()
    for place in places:
        host = unquote(place).strip()
        host = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
        if host and not host.startswith("/"):
            found.add(host.lower())
    return frozenset(found)


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
