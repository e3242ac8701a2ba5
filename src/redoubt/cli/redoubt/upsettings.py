"""What ``redoubt up --set`` says to the services that it starts: checked before anything is started."""

from __future__ import annotations

import os

from redoubt import configuration
from redoubt.central import config as central
from redoubt.cli.console import Console
from redoubt.cli.entry import require
from redoubt.errors import UsageError
from redoubt.scanner import config as scanner


def wanted(said: tuple[str, ...]) -> dict[str, dict[str, str]]:
    """``SERVICE.NAME=VALUE`` as variables by service. Raises ``UsageError``."""
    found: dict[str, dict[str, str]] = {"central": {}, "indexer": {}, "matcher": {}}
    flags: dict[str, dict[str, object]] = {service: {} for service in found}
    for text in said:
        service, dot, rest = text.partition(".")
        require(
            bool(dot) and service in found,
            f"--set {text[:100]}: write SERVICE.NAME=VALUE, of {', '.join(found)}",
        )
        kind = central if service == "central" else scanner
        flags[service] |= (one := configuration.given(kind.Settings, [rest], of=f"{service}."))
        found[service] |= {kind.PREFIX + name.upper(): rest.partition("=")[2].strip() for name in one}
    for service, values in flags.items():
        load = central.load if service == "central" else scanner.load
        try:
            load(environment={}, flags=values)
        except UsageError as error:
            raise UsageError(str(error).replace("settings: ", f"--set {service}.", 1)) from None
    return found


def warn_of_variables(console: Console) -> None:
    """Services are given theirs by ``up``; what was meant for one that is started by hand is not passed on."""
    for prefix, service in (("REDOUBT_CENTRAL_", "central"), ("REDOUBT_SCANNER_", "indexer")):
        for name in sorted(name for name in os.environ if name.startswith(prefix)):
            setting = name.removeprefix(prefix).lower()
            console.warn(f"{name} is not heeded here; write --set {service}.{setting}=VALUE")
