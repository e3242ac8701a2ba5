"""What Central says of policies, as ``roxctl … check`` reports it. Pure: alerts in, a summary out.

The JSON's shape and words are the original's: results by image or workload, each with a summary, the policies that it
violates and those of them that break the build.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

import msgspec

from redoubt.errors import NetworkError

T = TypeVar("T")

#: From the least to the worst, as policies have them.
SEVERITIES = ("LOW", "MEDIUM", "HIGH", "CRITICAL")
#: What makes a violated policy break the check of an image, and of a workload.
FAIL_BUILD = "FAIL_BUILD_ENFORCEMENT"
FAIL_DEPLOY = "SCALE_TO_ZERO_ENFORCEMENT"


class _Policy(msgspec.Struct, frozen=True, rename="camel"):
    id: str = ""
    name: str = ""
    description: str = ""
    remediation: str = ""
    severity: str = ""
    enforcement_actions: tuple[str, ...] = ()


class _Name(msgspec.Struct, frozen=True, rename="camel"):
    full_name: str = ""


class _Image(msgspec.Struct, frozen=True):
    id: str = ""
    name: _Name | None = None


class _Deployment(msgspec.Struct, frozen=True):
    id: str = ""
    name: str = ""
    type: str = ""
    namespace: str = ""


class _Violation(msgspec.Struct, frozen=True):
    message: str = ""


class Alert(msgspec.Struct, frozen=True, rename="camel"):
    """``storage.Alert``, as far as reports show it."""

    policy: _Policy
    image: _Image | None = None
    deployment: _Deployment | None = None
    violations: tuple[_Violation, ...] = ()


class OpenQuestion(msgspec.Struct, frozen=True, rename="camel"):
    """A policy that could not be asked."""

    policy_name: str = ""
    criteria: tuple[str, ...] = ()
    reason: str = ""


class Answer(msgspec.Struct, frozen=True):
    """``BuildDetectionResponse``."""

    alerts: tuple[Alert, ...] = ()
    unanswered: tuple[OpenQuestion, ...] = ()


class Run(msgspec.Struct, frozen=True):
    """``DeployDetectionResponse.Run``: a workload."""

    name: str = ""
    type: str = ""
    alerts: tuple[Alert, ...] = ()
    unanswered: tuple[OpenQuestion, ...] = ()


class ImageProblem(msgspec.Struct, frozen=True):
    """An image that could not be scanned."""

    image: str = ""
    reason: str = ""


class DeployAnswer(msgspec.Struct, frozen=True, rename="camel"):
    """``DeployDetectionResponse``."""

    runs: tuple[Run, ...] = ()
    ignored_object_refs: tuple[str, ...] = ()
    image_problems: tuple[ImageProblem, ...] = ()

    @property
    def unanswered(self) -> tuple[OpenQuestion, ...]:
        """Each policy once."""
        return tuple({each.policy_name: each for run in self.runs for each in run.unanswered}.values())


class Violated(msgspec.Struct, frozen=True, rename="camel"):
    """A violated policy."""

    name: str
    severity: str
    description: str
    violation: tuple[str, ...]
    remediation: str
    failing_check: bool


class Entity(msgspec.Struct, frozen=True, rename="camel"):
    """What was checked."""

    id: str
    additional_info: dict[str, str]


class Checked(msgspec.Struct, frozen=True, rename="camel"):
    """Of one image: how many policies of which severity it violates, and which, the worst first."""

    metadata: Entity
    summary: dict[str, int]
    violated_policies: tuple[Violated, ...]

    @property
    def breaking_policies(self) -> tuple[Violated, ...]:
        """Those that break the check."""
        return tuple(each for each in self.violated_policies if each.failing_check)


class Outcome(msgspec.Struct, frozen=True):
    """All that was checked."""

    results: tuple[Checked, ...]
    summary: dict[str, int]

    @property
    def breaking(self) -> tuple[Violated, ...]:
        """Violated policies that break the check."""
        return tuple(each for result in self.results for each in result.breaking_policies)

    @property
    def violated(self) -> tuple[Violated, ...]:
        """Violated policies."""
        return tuple(each for result in self.results for each in result.violated_policies)


def decode(body: bytes, where: str) -> Answer:
    """An answer. Raises ``NetworkError`` where it is none."""
    return _decoded(body, Answer, where)


def decode_deploy(body: bytes, where: str) -> DeployAnswer:
    """An answer. Raises ``NetworkError`` where it is none."""
    return _decoded(body, DeployAnswer, where)


def _decoded(body: bytes, kind: type[T], where: str) -> T:
    try:
        return msgspec.json.decode(body, type=kind, strict=False)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise NetworkError(f"{where}: the answer is not one of a check ({error}); is this Central?") from None


def summarise(answer: Answer, image: str) -> Outcome:
    """What the check of an image found. Several alerts of one policy are one."""
    named = next((alert.image for alert in answer.alerts if alert.image is not None), _Image())
    name = image if named.name is None else named.name.full_name or image
    entity = Entity(named.id or "unknown", {"name": name, "type": "image"})
    return _outcome([(entity, answer.alerts)] if answer.alerts else [], FAIL_BUILD)


def summarise_deploy(answers: Iterable[DeployAnswer]) -> Outcome:
    """What the check of workloads found, by workload."""
    checked = []
    for run in (run for answer in answers for run in answer.runs if run.alerts):
        told = next((alert.deployment for alert in run.alerts if alert.deployment is not None), _Deployment())
        about = {"name": run.name, "namespace": told.namespace, "type": run.type}
        checked.append((Entity(told.id or "unknown", about), run.alerts))
    checked.sort(key=lambda each: each[0].additional_info["name"])
    return _outcome(checked, FAIL_DEPLOY)


def _outcome(checked: Iterable[tuple[Entity, Iterable[Alert]]], breaking: str) -> Outcome:
    results = tuple(_checked(entity, alerts, breaking) for entity, alerts in checked)
    summary = {word: sum(each.summary[word] for each in results) for word in ("TOTAL", *SEVERITIES)}
    return Outcome(results, summary)


def _checked(entity: Entity, alerts: Iterable[Alert], breaking: str) -> Checked:
    by_policy: dict[str, list[Alert]] = {}
    for alert in alerts:
        by_policy.setdefault(alert.policy.id or alert.policy.name, []).append(alert)
    violated = [_violated(each, breaking) for each in by_policy.values()]
    violated.sort(key=lambda each: (-SEVERITIES.index(each.severity), each.name))
    counts = {word: sum(each.severity == word for each in violated) for word in SEVERITIES}
    return Checked(entity, {"TOTAL": len(violated), **counts}, tuple(violated))


def as_json(outcome: Outcome, *, compact: bool) -> str:
    """``{"results": […], "summary": {…}}`` in the original's order."""
    document = {
        "results": [
            {
                "metadata": result.metadata,
                "summary": result.summary,
                "violatedPolicies": result.violated_policies,
                "breakingPolicies": result.breaking_policies,
            }
            for result in outcome.results
        ],
        "summary": outcome.summary,
    }
    encoded = msgspec.json.encode(document)
    return (encoded if compact else msgspec.json.format(encoded, indent=2)).decode() + "\n"


def open_questions(answer: Answer | DeployAnswer) -> list[str]:
    """Policies that could not be asked, a line each."""
    lines = []
    for each in answer.unanswered:
        because = each.reason or f"nothing is known yet of {', '.join(each.criteria)}"
        lines.append(f"policy {each.policy_name!r} could not be asked: {because}")
    return lines


def _violated(alerts: list[Alert], breaking: str) -> Violated:
    policy = alerts[0].policy
    severity = policy.severity.removesuffix("_SEVERITY")
    return Violated(
        name=policy.name,
        severity=severity if severity in SEVERITIES else SEVERITIES[0],
        description=policy.description,
        violation=tuple(dict.fromkeys(each.message for alert in alerts for each in alert.violations)),
        remediation=policy.remediation,
        failing_check=breaking in policy.enforcement_actions,
    )
