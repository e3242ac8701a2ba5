"""``roxctl image check`` and ``deployment check``: asked of Central, again if need be, and reported.

Exit codes are the original's: 1 where a violated policy would fail the build or stop the workload, 0 where others are violated.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import msgspec

from redoubt.cli.console import Console
from redoubt.cli.roxctl import checkforms, checks, connection, options, scanning
from redoubt.cli.roxctl.checkforms import DeployForm, Form
from redoubt.cli.roxctl.checks import Answer, DeployAnswer, Outcome
from redoubt.cli.roxctl.watching import watched
from redoubt.errors import EXIT_FINDINGS, UnreadableInput

_BUILD, _DEPLOY = "/v1/detect/build", "/v1/detect/deploy/yaml"
#: What Central reads of YAML at once.
_LARGEST = 2 << 20
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
        "policyCategories": _categories(given),
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
        _write(outcome, answer, given["output"], form, ("image", name), console)
    for line in checks.open_questions(answer):
        console.warn(line)
    if outcome.breaking and (not given["json"] or given["json_fail_on_policy_violations"]):
        sys.stdout.flush()
        raise click.exceptions.Exit(EXIT_FINDINGS)


def check_deployment(ctx: click.Context, given: Mapping[str, Any]) -> None:
    """``roxctl deployment check``."""
    console = Console()
    form = DeployForm(**{name: given[name] for name in DeployForm.__dataclass_fields__})
    form.columns()
    texts = [(str(file), _text(file)) for file in given["file"]]
    answers, bodies = [], []
    with connection.central(ctx, console, timeout=_TIME) as central:
        for file, text in texts:
            body = {
                "yaml": text,
                "force": given["force"],
                "cluster": given["cluster"],
                "namespace": given["namespace"],
                "policyCategories": _categories(given),
            }

            def once(body: dict[str, Any] = body) -> tuple[bytes, str]:
                headers = {"Content-Type": "application/json"}
                with central.send("POST", _DEPLOY, msgspec.json.encode(body), headers) as response:
                    return response.read(connection.LARGEST), response.where

            received, where = scanning.again(once, given, console, f"checking {file}")
            bodies.append(received)
            answers.append(checks.decode_deploy(received, where))
    outcome = checks.summarise_deploy(answers)
    together = DeployAnswer(runs=tuple(run for answer in answers for run in answer.runs))
    if given["json"]:
        console.warn("--json is deprecated; -o json is the form that stays, with another structure")
        for received in bodies:
            click.echo(checkforms.legacy_json(received), nl=False)
    else:
        files = ", ".join(file for file, _ in texts)
        _write(outcome, together, given["output"], form, ("files", files), console)
    _told(answers, together, console, verbose=given["verbose"])
    if outcome.breaking:
        sys.stdout.flush()
        raise click.exceptions.Exit(EXIT_FINDINGS)


def _told(answers: list[DeployAnswer], together: DeployAnswer, console: Console, *, verbose: bool) -> None:
    """What was not looked at, or not wholly."""
    if not together.runs:
        console.warn("nothing in there makes pods, so nothing was checked")
    for line in checks.open_questions(together):
        console.warn(line)
    for problem in {each.image: each for answer in answers for each in answer.image_problems}.values():
        console.warn(f"image {problem.image} was not scanned: {problem.reason}")
    if verbose:
        for ref in (ref for answer in answers for ref in answer.ignored_object_refs):
            console.notice(f"not a workload: {ref}")


def _categories(given: Mapping[str, Any]) -> list[str]:
    return [each.strip() for each in options.split(given["categories"]) if each.strip()]


def _text(file: Path) -> str:
    """Raises ``UnreadableInput`` and ``AccessDenied``."""
    try:
        text = scanning.read_file(file, _LARGEST, "a manifest").decode()
    except UnicodeDecodeError:
        raise UnreadableInput(f"{file}: no text in UTF-8") from None
    if not text.strip():
        raise UnreadableInput(f"{file}: the manifest is empty")
    return text


def _write(
    outcome: Outcome,
    answer: Answer | DeployAnswer,
    name: str,
    form: Form,
    about: tuple[str, str],
    console: Console,
) -> None:
    kind, subject = about
    columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
    if name == "table":
        counts = ", ".join(f"{word}: {number}" for word, number in outcome.summary.items())
        click.echo(f"Policy check results for {kind}: {scanning.safe(subject)}\n({counts})\n")
    if name != "table" or outcome.violated:
        click.echo(checkforms.written(outcome, answer, name, form, subject, columns), nl=False)
    if name not in _FOR_PEOPLE or not outcome.violated:
        return
    number = len(outcome.violated)
    console.warn(f"{number} {'policy is' if number == 1 else 'policies are'} violated")
    for each in outcome.breaking:
        what = "deployment" if isinstance(answer, DeployAnswer) else "build"
        console.warn(f"policy {each.name!r} breaks the {what}; possible remediation: {each.remediation}")
