"""Every setting of the services is told of in ``docs/configuration.md``, with the default that it has."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from redoubt.central.config import Settings as Central
from redoubt.collector.config import Settings as Collector
from redoubt.node.config import Settings as Node
from redoubt.scanner.config import Settings as Scanner
from redoubt.sensor.config import Settings as Sensor

DOCUMENT = (Path(__file__).parents[3] / "docs/configuration.md").read_text()


def rows(heading: str) -> dict[str, str]:
    """Settings of a table, and what its second column says."""
    found: dict[str, str] = {}
    for line in DOCUMENT.partition(f"### {heading}\n")[2].partition("\n### ")[0].splitlines():
        if line.startswith("| `"):
            names, default = line.split("|")[1:3]
            found |= dict.fromkeys(re.findall(r"`(\w+)`", names), default.strip())
    return found


@pytest.mark.parametrize(
    ("heading", "kind"),
    [
        ("Central", Central),
        ("Indexer and Matcher", Scanner),
        ("Sensor", Sensor),
        ("Collector", Collector),
        ("Node agent", Node),
    ],
)
def test_every_setting_is_documented(heading: str, kind: type[msgspec.Struct]) -> None:
    told = rows(heading)
    fields = {field.name: field.default for field in msgspec.structs.fields(kind)}
    assert set(told) == set(fields)
    for name, default in fields.items():
        if isinstance(default, int | float) and not isinstance(default, bool):
            assert f"{default:g}" in told[name] or str(default) in told[name], name
