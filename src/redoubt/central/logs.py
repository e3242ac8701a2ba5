"""The log: structured, without secrets, a level for all and one for each module.

A module takes its logger with ``structlog.get_logger("<module>")`` and names fields; what has a secret's name is
blotted out whoever wrote it, and tracebacks never show the values of variables. Other libraries' records come the same
way. Levels have the original's names and may be changed while Central runs.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterable, MutableMapping
from typing import Any, TextIO

import structlog
from structlog.typing import Processor

from redoubt.central.refusals import InvalidArgument

#: The original's names of levels. It has no level between these.
LEVELS = {
    "Trace": 5,
    "Debug": logging.DEBUG,
    "Info": logging.INFO,
    "Warn": logging.WARNING,
    "Error": logging.ERROR,
    "Panic": logging.CRITICAL,
    "Fatal": logging.CRITICAL,
}

#: Modules of Central that write. A library counts as soon as it has written.
MODULES = {
    "activity",
    "alerts",
    "api",
    "audit",
    "auth",
    "central",
    "certificates",
    "definitions",
    "egress",
    "fleet",
    "hub",
    "images",
    "images.watching",
    "integrations",
    "leading",
    "nodes",
    "notices",
    "policies",
    "probes",
    "retention",
    "risk",
}

_SECRET = re.compile(
    r"passw|secret|token$|authorization|cookie|credential|private|api_?key|dsn|database_url", re.I
)
_IN_TEXT = (
    (re.compile(r"\b(Bearer|Basic)\s+[A-Za-z0-9._~+/=-]{8,}", re.I), r"\1 ***"),
    (re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*"), "***"),
    (re.compile(r"(://[^/\s:@]*:)[^/\s@]+@"), r"\1***@"),
)
_QUIET = (
    "asyncio",
    "httpcore",
    "httpcore2",
    "httpx",
    "httpx2",
    "hpack",
    "uvicorn",
    "uvicorn.access",
    "grpclib",
)


class _Levels:
    """What is written. One for the process: loggers are global as well."""

    def __init__(self) -> None:
        self.all = logging.INFO
        self.modules: dict[str, int] = {}

    def of(self, module: str) -> int:
        return self.modules.get(module, self.all)


_levels = _Levels()


def configure(level: str = "info", form: str = "json", stream: TextIO | None = None) -> None:
    """Set the log up. ``form`` is ``json`` or ``console``; it goes to stderr. Raises ``InvalidArgument``."""
    _levels.all = _number(level)
    _levels.modules.clear()
    out = stream or sys.stderr
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderers: list[Processor] = (
        [structlog.processors.format_exc_info, scrub, structlog.processors.JSONRenderer(default=str)]
        if form == "json"
        else [
            structlog.processors.format_exc_info,
            scrub,
            structlog.dev.ConsoleRenderer(
                colors=out.isatty(), exception_formatter=structlog.dev.plain_traceback
            ),
        ]
    )
    structlog.configure(
        processors=[_module, _filtered, *shared, *renderers],
        logger_factory=_factory(out),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers[:] = [_Bridge()]
    root.setLevel(logging.DEBUG)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


def level() -> str:
    """The level of all modules that have none of their own."""
    return _label(_levels.all)


def module_levels(modules: Iterable[str] = ()) -> dict[str, str]:
    """The levels of these modules; without any, of those that have another one than the rest."""
    wanted = list(modules)
    _known(wanted)
    names = wanted or sorted(name for name, one in _levels.modules.items() if one != _levels.all)
    return {name: _label(_levels.of(name)) for name in names}


def set_level(label: str, modules: Iterable[str] = ()) -> None:
    """Change the level of these modules; without any, of all. Raises ``InvalidArgument``."""
    number = _number(label)
    wanted = list(modules)
    _known(wanted)
    if wanted:
        _levels.modules.update(dict.fromkeys(wanted, number))
    else:
        _levels.all = number
        _levels.modules.clear()


def scrub(logger: object, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Blots out values whose name is a secret's, and what looks like credentials within texts."""
    for name, value in event.items():
        if _SECRET.search(name):
            event[name] = "***"
        elif isinstance(value, str):
            event[name] = scrubbed(value)
    return event


def scrubbed(text: str) -> str:
    """``text`` without what looks like credentials."""
    for pattern, replacement in _IN_TEXT:
        text = pattern.sub(replacement, text)
    return text


def _factory(out: TextIO) -> Any:
    print_logger = structlog.PrintLogger(out)

    def make(*names: str) -> _Named:
        return _Named(print_logger, names[0] if names else "")

    return make


class _Named:
    """A logger with its module's name."""

    def __init__(self, inner: structlog.PrintLogger, name: str) -> None:
        self.name = name
        self._inner = inner

    def __getattr__(self, method: str) -> Any:
        return getattr(self._inner, method)


def _module(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    event.setdefault("module", getattr(logger, "name", ""))
    return event


def _filtered(logger: object, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    module = str(event["module"])
    if module:
        MODULES.add(module)
    number = {"exception": logging.ERROR, "warn": logging.WARNING}.get(
        method, logging.getLevelNamesMapping().get(method.upper(), logging.INFO)
    )
    if number < _levels.of(module):
        raise structlog.DropEvent
    return event


class _Bridge(logging.Handler):
    """Records of libraries that use Python's own logging."""

    def emit(self, record: logging.LogRecord) -> None:
        log = structlog.get_logger(record.name.partition(".")[0])
        method = (
            record.levelname.lower() if record.levelname.lower() in ("debug", "info", "warning") else "error"
        )
        try:
            text = record.getMessage()
        except Exception:  # noqa: BLE001 (a record must not stop the work; its arguments may be anything)
            text = str(record.msg)
        getattr(log, method)(text, exc_info=record.exc_info or None)


def _number(label: str) -> int:
    for name, number in LEVELS.items():
        if name.lower() == label.strip().lower() or (name == "Warn" and label.strip().lower() == "warning"):
            return number
    raise InvalidArgument(f"there is no log level {label!r}; there are {', '.join(LEVELS)}")


def _label(number: int) -> str:
    return next((name for name, one in LEVELS.items() if one == number), "Info")


def _known(modules: list[str]) -> None:
    unknown = sorted(set(modules) - MODULES)
    if unknown:
        raise InvalidArgument(
            f"unknown modules: {', '.join(unknown)}; there are {', '.join(sorted(MODULES))}"
        )
