"""Whose an embedded cluster is and where it lies. Makes folders of its own; never touches those above them.

PostgreSQL refuses to run as root. So root's cluster belongs to an unprivileged user who is already there, and
lies where that user can get to. Nobody's folder is opened for it.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redoubt.errors import DatabaseError

_USERS = ("redoubt", "postgres", "nobody")  # the first that exists; no user is ever added
_ROOTS_OWN = Path("/var/lib/redoubt/postgres")


@dataclass(frozen=True)
class Owner:
    """The user that PostgreSQL runs as. ``change`` is false where that is the user who we are anyway."""

    name: str
    uid: int
    gid: int
    change: bool

    @property
    def as_child(self) -> dict[str, Any]:
        """Arguments of ``subprocess`` that have a child run as this user."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []} if self.change else {}

    def reaches(self, path: Path) -> bool:
        """Whether this user may pass every folder on the way to ``path``, by their modes (not their ACLs)."""
        return not self.change or all(self._passes(each) for each in (path, *path.parents) if each.is_dir())

    def _passes(self, folder: Path) -> bool:
        found = folder.stat()
        if found.st_uid == self.uid:
            return bool(found.st_mode & stat.S_IXUSR)
        if found.st_gid == self.gid:
            return bool(found.st_mode & stat.S_IXGRP)
        return bool(found.st_mode & stat.S_IXOTH)


def owner(name: str | None, cluster: Path) -> Owner:
    """Who PostgreSQL shall run as: ``name``, else whose ``cluster`` is, else the first unprivileged user of a few.

    Raises ``DatabaseError`` where there is none, or where we are not root and ``name`` is somebody else.
    """
    us = os.geteuid()
    if us != 0:
        found = _entry(us)
        if name not in (None, found.name):
            raise DatabaseError(
                f"only root can run PostgreSQL as {name}; start Redoubt as that user, or leave the user out"
            )
        return found
    candidates = [name] if name else [*_owner_of(cluster), *_USERS]
    for candidate in candidates:
        try:
            entry = pwd.getpwnam(candidate)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return Owner(entry.pw_name, entry.pw_uid, entry.pw_gid, change=True)
    raise DatabaseError(
        f"PostgreSQL does not run as root, and there is no user {' or '.join(candidates)} to run it as; "
        "name another one, or start Redoubt as an ordinary user"
    )


def folder(wanted: Path, user: Owner, *, elsewhere: Path = _ROOTS_OWN) -> Path:
    """Make the folder of a cluster, ``wanted`` or, where ``user`` cannot get there, one below ``elsewhere``.

    The place elsewhere is told by the wanted path, so that the next start finds it. Raises ``DatabaseError``.
    """
    wanted = wanted.resolve()
    try:
        _make(wanted, user)
        if user.reaches(wanted):
            return wanted
        other = elsewhere / hashlib.sha256(os.fsencode(wanted)).hexdigest()[:16]
        _make_passable(elsewhere)
        _make(other, user)
        (wanted / "where").write_text(f"{other}\n")
    except OSError as error:
        raise DatabaseError(
            f"cannot make the database's folder {error.filename or wanted}: {error.strerror}; "
            "give another data folder"
        ) from None
    if not user.reaches(other):
        raise DatabaseError(
            f"the user {user.name}, whom PostgreSQL runs as, may enter neither {wanted} nor {other}; "
            "give a data folder outside of folders that are closed to others"
        )
    return other


def _make_passable(folder: Path) -> None:
    """Make it and what lacks above it, for everybody to pass through whatever the umask is."""
    for each in reversed([folder, *folder.parents]):
        if not each.exists():
            each.mkdir(exist_ok=True)
            each.chmod(0o755)


def _make(place: Path, user: Owner) -> None:
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    if user.change:
        place.chmod(0o711)  # passed through by the user, read and written by us only


def _owner_of(cluster: Path) -> list[str]:
    try:
        return [pwd.getpwuid(cluster.stat().st_uid).pw_name]
    except (OSError, KeyError):
        return []


def _entry(uid: int) -> Owner:
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        # initdb and postgres both ask for the user's name, and end where it has none.
        raise DatabaseError(
            f"this user ({uid}) has no name on this system, and PostgreSQL needs one; "
            "add a line to /etc/passwd, or use a PostgreSQL elsewhere by its URL"
        ) from None
    return Owner(entry.pw_name, entry.pw_uid, entry.pw_gid, change=False)
