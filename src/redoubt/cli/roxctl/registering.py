"""What ``roxctl central crs`` asks of Central: cluster registration secrets, made, listed and revoked."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime

import click
import msgspec

from redoubt.cli.console import Console, clean
from redoubt.cli.redoubt.definitions import print_columns
from redoubt.cli.roxctl import connection, newfile
from redoubt.cli.roxctl.bundles import MINUTE, PATH, Creator, decoded
from redoubt.errors import UnreadableInput, UsageError

#: Go's durations, and days.
_PART = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(d|h|m|s|ms)")
_SECONDS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


class Secret(msgspec.Struct, rename="camel"):
    """``CRSMeta``."""

    id: str
    name: str
    created_at: str = ""
    expires_at: str = ""
    created_by: Creator | None = None
    max_registrations: str | int = 0
    registrations_initiated: tuple[str, ...] = ()
    registrations_completed: tuple[str, ...] = ()


class _Secrets(msgspec.Struct):
    items: tuple[Secret, ...] = ()


class _Made(msgspec.Struct):
    meta: Secret
    crs: str = ""


class _Error(msgspec.Struct):
    id: str = ""
    error: str = ""


class _Revoked(msgspec.Struct, rename="camel"):
    crs_revocation_errors: tuple[_Error, ...] = ()
    revoked_ids: tuple[str, ...] = ()


def generate(ctx: click.Context, name: str, output: str, valid_for: str, valid_until: str, most: int) -> None:
    """``roxctl central crs generate``. The file is made first: a secret that cannot be written is not asked for."""
    if not output:
        raise UsageError("say where to write it: --output FILE, or - for standard output")
    if valid_for and valid_until:
        raise UsageError("--valid-for and --valid-until do not go together")
    body: dict[str, object] = {"name": name}
    if valid_for:
        body["validFor"] = f"{seconds(valid_for):.3f}s"
    if valid_until:
        body["validUntil"] = _moment(valid_until)
    if most:
        body["maxRegistrations"] = str(most)
    console = Console()
    with newfile.new(output) as file:
        with connection.central(ctx, console, timeout=MINUTE) as central:
            # One try: a second secret that nobody knows of would count.
            sent = central.work(f"{PATH}/crs{'-extended' if len(body) > 1 else ''}", body)
            made = central.read(sent, _Made)
        newfile.write(file, decoded(made.crs))
    console.notice(
        f"cluster registration secret {clean(made.meta.name)} ({clean(made.meta.id)}), good until {clean(made.meta.expires_at)}"
    )
    if most:
        console.notice(f"for at most {most} clusters")
    console.notice("it holds a private key, which Central does not keep; whoever has it can add a cluster")


def show(ctx: click.Context) -> None:
    """``roxctl central crs list``."""
    rows = [("NAME", "CREATED", "EXPIRES", "CREATED BY", "REGISTERED", "ID")]
    rows += [
        (
            each.name,
            each.created_at[:16],
            each.expires_at[:16],
            each.created_by.id if each.created_by else "",
            _registered(each),
            each.id,
        )
        for each in _all(ctx)
    ]
    print_columns(rows)


def revoke(ctx: click.Context, named: Sequence[str]) -> None:
    """``roxctl central crs revoke``, by name or identifier."""
    there = _all(ctx)
    chosen: dict[str, Secret] = {}
    for text in named:
        found = next((each for each in there if text in (each.id, each.name)), None)
        if found is None:
            raise UsageError(
                f"there is no cluster registration secret {text!r}; see `roxctl central crs list`"
            )
        chosen[found.id] = found
    with connection.central(ctx, Console(), timeout=MINUTE) as central:
        done = central.ask("PATCH", f"{PATH}/crs/revoke", {"ids": list(chosen)}, _Revoked)
    for identifier in done.revoked_ids:
        click.echo(f"Revoked {clean(chosen[identifier].name if identifier in chosen else identifier)}")
    if done.crs_revocation_errors:
        told = "; ".join(f"{clean(each.id)}: {clean(each.error)}" for each in done.crs_revocation_errors)
        raise UnreadableInput(f"not revoked: {told}")


def seconds(text: str) -> float:
    """Of ``10m``, ``1d``, ``1h30m``. Raises ``UsageError``."""
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise UsageError(f"{text!r} is no length of time; write 10m, 12h or 1d")
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)


def _moment(text: str) -> str:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise UsageError(f"{text!r} is no moment; write 2099-01-02T03:04:05Z")
    return found.isoformat()


def _registered(secret: Secret) -> str:
    """How many clusters came with it, of how many that may."""
    came = len(secret.registrations_initiated) + len(secret.registrations_completed)
    most = str(secret.max_registrations)
    return f"{came}/{most}" if most not in ("", "0") else str(came)


def _all(ctx: click.Context) -> tuple[Secret, ...]:
    with connection.central(ctx, Console(), timeout=MINUTE) as central:
        return central.get(f"{PATH}/crs", _Secrets).items
