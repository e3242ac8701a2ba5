"""``roxctl image check``: an image and policies, asked of Central, again if need be, and reported.

Exit codes are the original's: 1 where a violated policy says that the build fails, 0 where others are violated.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from typing import Any

import click
import msgspec

from redoubt.cli.console import Console
from redoubt.cli.roxctl import checkforms, checks, connection, options, scanning
from redoubt.cli.roxctl.checkforms import Form
from redoubt.cli.roxctl.checks import Outcome
from redoubt.cli.roxctl.watching import watched
from redoubt.errors import EXIT_FINDINGS

_BUILD = "/v1/detect/build"
_TIME = 600.0
#: Forms that people look at: the original says more around them.
_FOR_PEOPLE = frozenset({"table", "csv", "json"})


def check_image(ctx: click.Context, given: Mapping[str, Any]) -> None:
    """``roxctl image check``."""
    console = Console()
    form = Form(**{name: given[name] for name in Form.__dataclass_fields__})
    form.columns()
    name = given["image"]
    reference = scanning.in_full(name)
    body = scanning.request(given) | {
        "sendNotifications": given["send_notifications"],
        "policyCategories": [each.strip() for each in options.split(given["categories"]) if each.strip()],
    }
    with connection.central(ctx, console, timeout=_TIME) as central:

        def once() -> tuple[bytes, str]:
            headers = {"Content-Type": "application/json"}
            with (
                watched(central, reference, console),
                central.send("POST", _BUILD, msgspec.json.encode(body), headers) as response,
            ):
                return response.read(connection.LARGEST), response.where

        received, where = scanning.again(once, given, console, f"checking {name}")
    answer = checks.decode(received, where)
    outcome = checks.summarise(answer, name)
    if given["json"]:
        console.warn("--json is deprecated; -o json is the form that stays, with another structure")
        click.echo(checkforms.legacy_json(received), nl=False)
    else:
        _write(outcome, answer, given["output"], form, name, console)
    for line in checks.open_questions(answer):
        console.warn(line)
    if outcome.breaking and (not given["json"] or given["json_fail_on_policy_violations"]):
        sys.stdout.flush()
        raise click.exceptions.Exit(EXIT_FINDINGS)


def _write(
    outcome: Outcome, answer: checks.Answer, name: str, form: Form, image: str, console: Console
) -> None:
    columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
    if name == "table":
        counts = ", ".join(f"{word}: {number}" for word, number in outcome.summary.items())
        click.echo(f"Policy check results for image: {scanning.safe(image)}\n({counts})\n")
    if name != "table" or outcome.violated:
        click.echo(checkforms.written(outcome, answer, name, form, image, columns), nl=False)
    if name not in _FOR_PEOPLE or not outcome.violated:
        return
    number = len(outcome.violated)
    console.warn(f"{number} {'policy is' if number == 1 else 'policies are'} violated")
    for each in outcome.breaking:
        console.warn(f"policy {each.name!r} breaks the build; possible remediation: {each.remediation}")
