"""Ignore files: rules that people write to silence findings they have judged, each with a reason and an end.

TOML, an ``[[ignore]]`` table a rule (``docs/suppressing.md``). Pure: it must not know which day it is, nor
what a rule matches.
"""

from __future__ import annotations

import difflib
from datetime import date, datetime

import msgspec

from redoubt.assessments import toml
from redoubt.assessments.statements import JUSTIFICATIONS
from redoubt.errors import UsageError
from redoubt.model import Status, purl

#: A file of some five thousand rules.
MAX_BYTES = 1 << 20
_MAX_TEXT = 4096

_STATUSES = tuple(item.value for item in Status if item is not Status.NOT_AFFECTED)


class IgnoreRule(msgspec.Struct, frozen=True, kw_only=True):
    """One rule. Every field that is not empty narrows it; ``number`` is its place in the file, from 1.

    ``id`` is any name of a flaw. ``package`` is a name or a purl and ``path`` a place in the image, both
    patterns (``matcher.globs``). ``expires`` is the day (``YYYY-MM-DD``) from which the rule no longer holds.
    """

    file: str
    number: int
    reason: str
    id: str = ""
    package: str = ""
    version: str = ""
    path: str = ""
    status: str = ""
    justification: str = ""
    expires: str = ""

    @property
    def name(self) -> str:
        """What it is called in messages: ``rule 3 (CVE-2099-0001, openssl)``."""
        told = ", ".join(part for part in (self.id, self.package, self.path) if part)
        return f"rule {self.number} ({told})"

    def expired(self, today: date) -> bool:
        """Whether its end has come."""
        return bool(self.expires) and self.expires <= today.isoformat()


_KEYS = tuple(field for field in IgnoreRule.__struct_fields__ if field not in ("file", "number"))


def read(data: bytes, name: str) -> tuple[IgnoreRule, ...]:
    """The rules of the file ``name``. Raises ``UsageError``, which names the rule that is wrong."""
    if len(data) > MAX_BYTES:
        raise UsageError(
            f"{name}: larger than {MAX_BYTES >> 20} MiB; split it, --ignore-file may be repeated"
        )
    tables = toml.load(data, name)
    for key in tables:
        if key != "ignore":
            raise UsageError(f"{name}: no key {key[:80]!r} here; a rule begins with a line [[ignore]]")
    entries = tables.get("ignore", [])
    if not isinstance(entries, list):
        raise UsageError(f"{name}: 'ignore' is not a list of rules; begin each with a line [[ignore]]")
    return tuple(_rule(entry, name, number) for number, entry in enumerate(entries, 1))


def _rule(entry: object, file: str, number: int) -> IgnoreRule:
    where = f"{file}: rule {number}"
    if not isinstance(entry, dict):
        raise UsageError(f"{where} is not a table; begin it with a line [[ignore]]")
    for key in entry:
        if key not in _KEYS:
            near = difflib.get_close_matches(key[:80], _KEYS, n=1)
            meant = f"; did you mean '{near[0]}'?" if near else f"; a rule has {', '.join(_KEYS)}"
            raise UsageError(f"{where}: no key {key[:80]!r}{meant}")
    words = {
        key: _day(entry[key], where) if key == "expires" else _text(key, entry[key], where) for key in entry
    }
    if not (words.get("id") or words.get("package")):
        raise UsageError(f"{where} would silence everything; give it an id, a package or both")
    if words.get("package", "")[:4].lower() == "pkg:" and purl.parse(words["package"]) is None:
        raise UsageError(f"{where}: {words['package'][:80]!r} is not a purl; write pkg:TYPE/NAME")
    if not words.get("reason"):
        raise UsageError(f"{where}: no reason; whoever reads the report wants to know it")
    _choice("status", words.get("status", ""), _STATUSES, where)
    _choice("justification", words.get("justification", ""), JUSTIFICATIONS, where)
    return IgnoreRule(file=file, number=number, **words)


def _text(key: str, value: object, where: str) -> str:
    if not isinstance(value, str):
        raise UsageError(f"{where}: '{key}' wants text in quotes")
    if not value.strip():
        raise UsageError(f"{where}: '{key}' is empty; leave it out")
    if len(value) > _MAX_TEXT:
        raise UsageError(f"{where}: '{key}' is longer than {_MAX_TEXT} characters")
    return value.strip()


def _day(value: object, where: str) -> str:
    if isinstance(value, str):
        try:
            value = date.fromisoformat(value)
        except ValueError:
            value = None
    if not isinstance(value, date) or isinstance(value, datetime):
        raise UsageError(f"{where}: 'expires' wants a day, as 2099-01-31")
    return value.isoformat()


def _choice(key: str, value: str, known: tuple[str, ...], where: str) -> None:
    if value and value not in known:
        raise UsageError(f"{where}: '{key}' is none of {', '.join(known)}")
