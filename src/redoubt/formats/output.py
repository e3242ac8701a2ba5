"""The choice of a format by name, and what is decided by where the output goes."""

from __future__ import annotations

import os
import shutil
from typing import BinaryIO

from redoubt.errors import UsageError
from redoubt.formats.interface import NO_FINDINGS, NO_INDEX, Format, Options
from redoubt.model import IndexReport, VulnerabilityReport

#: What can be asked for, the default first.
FORMATS = (
    *("table", "json", "cyclonedx", "html"),
    *("csv", "sarif", "junit", "spdx", "gitlab", "github", "openvex"),
)


def check(name: str, *, index: bool) -> None:
    """Find out before the work whether ``name`` has a form for an index report, or else for findings.

    Raises ``UsageError`` with the reason, and for a name not in ``FORMATS``.
    """
    if name not in FORMATS:
        raise _unknown(name)
    if reason := (NO_INDEX if index else NO_FINDINGS).get(name):
        raise UsageError(reason)


def render(report: IndexReport | VulnerabilityReport, name: str, options: Options | None = None) -> bytes:
    """A report in the format ``name``, as bytes (UTF-8).

    Raises ``UsageError`` for a name not in ``FORMATS``, and where the format has no form for this report.
    """
    form = _load(name)
    options = options or Options()
    if isinstance(report, IndexReport):
        return form.index(report, options)
    return form.vulnerabilities(report, options)


def write(
    report: IndexReport | VulnerabilityReport,
    name: str,
    out: BinaryIO,
    *,
    color: bool | None = None,
    width: int | None = None,
    age: str = "",
    stale: bool = False,
    notices: tuple[str, ...] = (),
    show_suppressed: bool = False,
) -> None:
    """``render`` into ``out``. See ``Options`` for what may be said.

    Where ``color`` or ``width`` (columns) is None it is decided here: colours and the terminal's width if
    ``out`` is a terminal (no colours under ``NO_COLOR``), else neither, so that nothing is cut or wrapped.
    """
    terminal = out.isatty()
    if color is None:
        color = terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    if width is None and terminal:
        width = shutil.get_terminal_size().columns
    options = Options(
        color=color, width=width, age=age, stale=stale, notices=notices, show_suppressed=show_suppressed
    )
    out.write(render(report, name, options))
    out.flush()


def _load(name: str) -> Format:
    match name:
        case "table":
            from redoubt.formats import table

            return table
        case "json":
            from redoubt.formats import json

            return json
        case "cyclonedx":
            from redoubt.formats import cyclonedx

            return cyclonedx
        case "html":
            from redoubt.formats import html

            return html
        case "csv":
            from redoubt.formats import csv

            return csv
        case "sarif":
            from redoubt.formats import sarif

            return sarif
        case "junit":
            from redoubt.formats import junit

            return junit
        case "spdx":
            from redoubt.formats import spdx

            return spdx
        case "gitlab":
            from redoubt.formats import gitlab

            return gitlab
        case "github":
            from redoubt.formats import github

            return github
        case "openvex":
            from redoubt.formats import openvex

            return openvex
    raise _unknown(name)


def _unknown(name: str) -> UsageError:
    return UsageError(f"no format {name!r}; choose one of {', '.join(FORMATS)}")
