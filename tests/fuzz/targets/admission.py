"""What is sent to the admission controller: reviews as whoever reaches the port writes them, and settings."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

from prometheus_client import CollectorRegistry

from redoubt.admission import rules
from redoubt.admission.app import App
from redoubt.admission.events import EventJudge
from redoubt.admission.figures import Figures
from redoubt.admission.images import Images
from redoubt.admission.judging import Judge, Spared
from redoubt.admission.rules import Rules
from redoubt.errors import RedoubtError
from redoubt.policies.alerts import Alert
from redoubt.wire.failures import NotFound
from support.admission import default, encoded, review, settings
from targets.interface import Target

_POLICIES = (
    "Latest tag",
    "Images with no scans",
    "Privileged Container",
    "Environment Variable Contains Secret",
)
_EXEC = default("Kubernetes Actions: Exec into Pod", "FAIL_KUBE_REQUEST_ENFORCEMENT")


class _Nobody:
    """Knows no image, and drops alerts."""

    async def image(self, name: str, *, cached: bool, namespace: str) -> bytes:
        raise NotFound(name)

    def tell(self, alerts: Sequence[Alert]) -> None:
        for alert in alerts:
            assert alert.violations


_rules: list[Rules] = []


def _reviews(data: bytes) -> int:
    """How many of the two webhooks answered."""
    if not _rules:
        _rules.append(rules.read(settings(1, *map(default, _POLICIES), _EXEC, fail_closed=True)))
    return asyncio.run(_answered(data, _rules[0]))


async def _answered(data: bytes, given: Rules) -> int:
    nobody, figures = _Nobody(), Figures("here", CollectorRegistry())
    images = Images(nobody, lifetime=60, memory=1 << 20, simultaneous=4)
    judge = Judge(images, figures, nobody, Spared(["kube-system"]))
    app = App(judge.workload, EventJudge(images, figures, nobody, Spared([])).event, judge)
    app.rules = given
    answered = 0
    for path in ("/validate", "/events"):
        sent = await _asked(app, path, data)
        if sent[0]["status"] != 200:
            assert sent[0]["status"] == 400, sent
            continue
        response = json.loads(sent[1]["body"])["response"]
        assert isinstance(response["allowed"], bool)
        said = response.get("status", {}).get("message", "") + "".join(response.get("warnings", ()))
        assert "a fault of Redoubt's" not in said, said
        assert said.replace("\n", "").isprintable(), said[:300]
        answered += 1
    await images.close()
    return answered


async def _asked(app: App, path: str, data: bytes) -> list[dict[str, object]]:
    sent: list[dict[str, object]] = []

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": data, "more_body": False}

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    await app({"type": "http", "path": path, "method": "POST", "query_string": b"timeout=5s"}, receive, send)
    return sent


def _review_seeds() -> list[bytes]:
    container = {
        "name": "c",
        "image": "shop:latest",
        "env": [
            {"name": "PASSWORD", "value": "x"},
            {"name": "B", "valueFrom": {"secretKeyRef": {"name": "s"}}},
        ],
        "securityContext": {"privileged": True},
        "volumeMounts": [{"name": "v", "mountPath": "/v"}],
        "resources": {"limits": {"cpu": "1"}},
    }
    spec = {"containers": [container], "volumes": [{"name": "v", "hostPath": {"path": "/"}}]}
    meta = {"name": "shop", "labels": {"a": "b"}, "annotations": {"c": "d"}}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}
    made = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": meta,
        "spec": {"template": {"spec": spec}},
    }
    scale = {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": meta, "spec": {"replicas": 3}}
    executed = review(
        {"apiVersion": "v1", "kind": "PodExecOptions", "metadata": {}},
        operation="CONNECT",
        subResource="exec",
    )
    executed["request"]["object"] = {"container": "c", "command": ["id"]}
    return [
        encoded(review(pod)),
        encoded(review(made, operation="UPDATE", oldObject=made)),
        encoded(review(scale, operation="UPDATE", oldObject=scale, subResource="scale")),
        encoded(executed),
    ]


def _settings(data: bytes) -> int:
    """How many policies could be asked."""
    try:
        made = rules.read(data)
    except RedoubtError:
        return 0
    return 1 + len(made.created.described.compiled) + len(made.events.described.compiled)


def _settings_seeds() -> list[bytes]:
    return [
        settings(1, *map(default, _POLICIES), _EXEC, at_deadline="DENY", namespace_labels={"a": {"b": "c"}})
    ]


TARGETS = {
    "admission:reviews": Target(_reviews, _review_seeds),
    "admission:settings": Target(_settings, _settings_seeds),
}
