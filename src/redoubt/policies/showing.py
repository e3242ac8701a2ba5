"""What a violation says, for people: what was looked at, and what it was. Pure.

Texts come from clusters and images, so whoever made those: control characters are shown as escapes, long texts are
cut. The content of environment variables is never shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from redoubt.model.happening import StartedProcess
from redoubt.model.scannedimage import SEVERITY_ENDING, DockerfileLine, ScannedFlaw
from redoubt.model.workload import EnvironmentVariable, Port, Volume
from redoubt.policies.criteria import Level

#: A text of the object's, and a label's content in a list of labels.
LONGEST = 200
_LABEL = 64
_MOST = 3


def text(given: str, longest: int = LONGEST) -> str:
    """A text that can be shown anywhere."""
    cut = given if len(given) <= longest else given[: longest - 1] + "…"
    if cut.isprintable():
        return cut
    return "".join(
        sign if sign.isprintable() else sign.encode("unicode_escape", "replace").decode() for sign in cut
    )


def value(given: Any) -> str:
    """What an object said."""
    if isinstance(given, bool):
        return "true" if given else "false"
    if isinstance(given, str):
        return text(given) if given else "empty"
    if isinstance(given, float):
        return f"{given:.3f}".rstrip("0").rstrip(".")
    if isinstance(given, datetime):
        return given.isoformat(timespec="seconds")
    if isinstance(given, Mapping):
        return _labels(given)
    if isinstance(given, Sequence):
        shown = ", ".join(text(str(item), _LABEL) for item in given[:_MOST])
        return (shown + _more(len(given))) if given else "empty"
    return str(given)


def _labels(given: Mapping[str, str]) -> str:
    first = sorted(given)[:_MOST]
    shown = ", ".join(f"{text(name, _LABEL)}={text(given[name], _LABEL)}" for name in first)
    return (shown + _more(len(given))) if given else "empty"


def _more(count: int) -> str:
    return f" and {count - _MOST} more" if count > _MOST else ""


def subject(level: Level, given: Any, owner: Any = None) -> str:
    """What was looked at, where one thing has several: ``volume data``. Empty where its owner says it all."""
    if level is Level.PORT and isinstance(given, Port):
        return text(
            f"port {given.container_port}/{given.protocol.lower()}"
            if given.protocol
            else f"port {given.container_port}"
        )
    if level is Level.VARIABLE and isinstance(given, EnvironmentVariable):
        return f"environment variable {text(given.key)}"
    if level is Level.VOLUME and isinstance(given, Volume):
        return f"volume {text(given.name)}"
    if level is Level.LINE and isinstance(given, DockerfileLine):
        return f"Dockerfile line {text(given.instruction + ' ' + given.value)}"
    if level is Level.COMPONENT:
        return f"{text(given.name)} {text(given.version)}".rstrip()
    if level is Level.FLAW and isinstance(given, ScannedFlaw):
        return _flaw(given, owner)
    if level is Level.PROCESS and isinstance(given, StartedProcess) and given.process.signal is not None:
        signal = given.process.signal
        return text(f"process {signal.exec_file_path or signal.name} {signal.args}".rstrip())
    return ""


def _flaw(flaw: ScannedFlaw, component: Any) -> str:
    words = [text(flaw.cve)]
    severity = flaw.severity.removesuffix(SEVERITY_ENDING).lower()
    words.append(f"({text(severity)}, CVSS {flaw.cvss:g})" if flaw.cvss else f"({text(severity)})")
    if component is not None:
        words.append(f"in {text(component.name)} {text(component.version)}".rstrip())
    return " ".join(words)
