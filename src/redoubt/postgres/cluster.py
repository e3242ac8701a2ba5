"""A cluster on disk: made whole or not at all, and the passwords that open it.

Whoever connects is the role ``redoubt``: it owns the databases and may make more, and is no superuser. The
superuser's password is not kept; a repair goes by ``postgres --single`` as the cluster's user.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from redoubt.children import bound
from redoubt.errors import DatabaseError
from redoubt.postgres import leftovers
from redoubt.postgres.binaries import Binaries, find
from redoubt.postgres.place import Owner

ROLE = "redoubt"
_SUPERUSER = "postgres"
_HBA = "local all all scram-sha-256\n"
ENVIRONMENT: Mapping[str, str] = {
    "PATH": "/usr/bin:/bin",
    "LC_ALL": "C",
    "TZ": "UTC",
    "HOME": "/nonexistent",
}


def version(data: Path) -> int | None:
    """The major version whose cluster lies in ``data``; ``None`` where none does. Raises ``DatabaseError``."""
    try:
        text = (data / "PG_VERSION").read_text("ascii")
        return int(text)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise DatabaseError(f"{data} holds no database that can be read: {error}; restore it") from None


def programs(data: Path, given: Binaries | None) -> Binaries:
    """The programs for the cluster in ``data``, or for a new one. Raises ``DatabaseError`` where they are not here."""
    here = [given] if given else find()
    wanted = version(data)
    for each in here:
        if wanted in (None, each.major):
            return each
    if wanted is None:
        raise DatabaseError(
            "PostgreSQL is not installed here; install Debian's package postgresql or Redoubt with its extra "
            "(redoubt[postgres]), or use a server elsewhere by its URL"
        )
    others = ", ".join(str(each.major) for each in here) or "none"
    raise DatabaseError(
        f"the database in {data} is PostgreSQL {wanted}'s, and installed here is: {others}; install PostgreSQL "
        f"{wanted} beside it, or carry the data over with pg_dump and start in another folder"
    )


def make(data: Path, password: Path, user: Owner, using: Binaries, databases: Sequence[str]) -> None:
    """Make a cluster with ``databases`` in ``data``, and ``password`` as a passfile that opens them.

    Killed at any point, the next call begins anew. Raises ``DatabaseError``.
    """
    for old in data.parent.glob(f"{data.name}.new-*"):
        if old.is_file():
            old.unlink()
        else:
            leftovers.end(old)  # of an initdb that was killed: what it had begun goes on writing
            shutil.rmtree(old, ignore_errors=True)
    draft = data.with_name(f"{data.name}.new-{secrets.token_hex(4)}")
    secret = secrets.token_urlsafe(32)
    try:
        draft.mkdir(mode=0o700)
        if user.change:
            os.chown(draft, user.uid, user.gid)
        _initialise(draft, user, using)
        _equip(draft, user, using, secret, databases)
        (draft / "pg_hba.conf").write_text(_HBA)
        _write_secret(password, f"*:*:*:{ROLE}:{secret}\n")
        os.sync()  # once, for all of it: a sync a file takes seconds
        draft.rename(data)
    except OSError as error:
        raise DatabaseError(
            f"cannot make the database in {data}: {error.strerror or error}; check space and permissions"
        ) from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _initialise(draft: Path, user: Owner, using: Binaries) -> None:
    # The superuser's password is read from a file: as an argument everybody would see it.
    password = draft.with_name(f"{draft.name}.password")
    try:
        _write_secret(password, secrets.token_urlsafe(32))
        if user.change:
            os.chown(password, user.uid, user.gid)
        arguments: list[str | Path] = [
            "-D",
            draft,
            "-U",
            _SUPERUSER,
            "--pwfile",
            password,
            "-A",
            "scram-sha-256",
        ]
        _run([using.initdb, *arguments, "-E", "UTF8", "--locale=C", "--no-sync"], user, "initdb")
    finally:
        with suppress(OSError):
            password.unlink()


def _equip(draft: Path, user: Owner, using: Binaries, secret: str, databases: Sequence[str]) -> None:
    statements = [f"CREATE ROLE {ROLE} LOGIN CREATEDB PASSWORD '{secret}'"]
    statements += [f'CREATE DATABASE "{name}" OWNER {ROLE}' for name in databases]
    single: list[str | Path] = [using.postgres, "--single", "-c", "fsync=off", "-D", draft, "postgres"]
    said = _run(single, user, "postgres", "\n".join(statements) + "\n")
    if "ERROR:" in said or "FATAL:" in said:
        raise DatabaseError("PostgreSQL would not make the role and databases of a new cluster")


def _run(command: Sequence[str | Path], user: Owner, name: str, told: str = "") -> str:
    try:
        done = subprocess.run(
            command,
            input=told,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            cwd="/",
            env=dict(ENVIRONMENT),
            timeout=300,
            preexec_fn=bound(signal.SIGKILL),
            **user.as_child,
        )
    except subprocess.TimeoutExpired:
        raise DatabaseError(
            f"{name} did not end within five minutes; look at the disk and try again"
        ) from None
    except PermissionError:
        raise DatabaseError(
            f"the user {user.name}, whom PostgreSQL runs as, may not run {command[0]}; install Debian's package "
            "postgresql, or Redoubt in a folder that others may enter"
        ) from None
    if done.returncode:
        said = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        loud = [line for line in said if "error:" in line or "FATAL:" in line]
        raise DatabaseError(f"{name} failed: {(loud or said or ['no reason given'])[-1]}")
    return str(done.stderr)


def _write_secret(path: Path, text: str) -> None:
    with suppress(FileNotFoundError):
        path.unlink()
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
