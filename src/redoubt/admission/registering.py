"""The webhooks' registration: a ``ValidatingWebhookConfiguration`` that says what the API server asks us, kept current.

The object is ours by a label; one of that name without it is somebody else's, and is left alone. In ours, webhooks of other
names are left alone as well. It must not know how the API server is reached.
"""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import structlog

from redoubt import tasks
from redoubt.admission.rules import LONGEST, Rules
from redoubt.errors import RedoubtError

Object = dict[str, Any]

POLICIES, EVENTS = "policyeval.stackrox.io", "k8sevents.stackrox.io"
LABEL, OURS = "app.kubernetes.io/managed-by", "redoubt-admission-control"
#: Seconds: between two looks at the registration, after one that failed, and at the CAs.
INTERVAL, _AGAIN, _TICK = 30.0, 5.0, 1.0
#: On top of what a review may take, for the way there and back; Kubernetes allows 30 in all.
_WAY = 2
_NAME = "kubernetes.io/metadata.name"
_log = structlog.get_logger("admission")


class Registry(Protocol):
    """Where the registration is."""

    async def webhooks(self, name: str) -> Object | None:
        """See ``Cluster``."""

    async def register(self, given: Object) -> None:
        """See ``Cluster``."""


class Target:
    """How the API server reaches us: a URL, or a Service in a namespace."""

    def __init__(self, *, url: str = "", namespace: str = "", service: str = "") -> None:
        self._url, self._namespace, self._service = url.rstrip("/"), namespace, service

    def config(self, path: str, authorities: bytes) -> Object:
        """``clientConfig``. ``authorities`` are PEM."""
        bundle = base64.b64encode(authorities).decode()
        if self._url:
            return {"url": self._url + path, "caBundle": bundle}
        where = {"name": self._service, "namespace": self._namespace, "path": path, "port": 443}
        return {"service": where, "caBundle": bundle}


class Registrar:
    """Keeps the registration as ``rules`` and ``authorities`` want it. ``start``, then ``stop``."""

    def __init__(
        self,
        registry: Registry,
        name: str,
        target: Target,
        *,
        authorities: Callable[[], bytes],
        rules: Callable[[], Rules | None],
        spared: Sequence[str],
        interval: float = INTERVAL,
    ) -> None:
        self._registry, self._name, self._target = registry, name, target
        self._authorities, self._rules, self._interval = authorities, rules, interval
        self._spared = [each for each in spared if not each.endswith("*")]
        self._now = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        #: Why it is not registered; empty where it is.
        self.problem = "not registered yet"

    def start(self) -> None:
        """Register, and look after it."""
        self._task = asyncio.create_task(self._look())

    def look(self) -> None:
        """Something may have changed."""
        self._now.set()

    async def stop(self) -> None:
        """Look no more. The registration stays: others of us may be there, and what counts then is its ``failurePolicy``."""
        if self._task is not None:
            await tasks.end(self._task)

    async def _look(self) -> None:
        soon = min(_AGAIN, self._interval)
        while True:
            self._now.clear()
            pause = self._interval
            try:
                try:
                    await self.register()
                except RedoubtError as error:
                    if str(error) != self.problem:
                        _log.warning("the webhooks are not registered", why=str(error))
                    self.problem, pause = str(error), soon
                await self._wait(pause)
            except Exception as error:  # noqa: BLE001 (whatever it was, the next look may do)
                problem = f"it failed ({type(error).__name__})"
                if problem != self.problem:
                    _log.exception("the webhooks are not registered")
                self.problem = problem
                await asyncio.sleep(soon)

    async def _wait(self, pause: float) -> None:
        """For so long, or until something changed: the CAs are looked at often, as their files are by who reads them."""
        end, registered = time.monotonic() + pause, self._authorities()
        while (left := end - time.monotonic()) > 0 and self._authorities() == registered:
            try:
                async with asyncio.timeout(min(_TICK, left)):
                    await self._now.wait()
                    return
            except TimeoutError:
                continue

    async def register(self) -> None:
        """Make the registration what it has to be. Raises ``RedoubtError``."""
        rules = self._rules()
        if rules is None:
            self.problem = "no settings yet"
            return
        before = await self._registry.webhooks(self._name)
        if before is not None and _labels(before).get(LABEL) != OURS:
            raise RedoubtError(
                f"the ValidatingWebhookConfiguration {self._name} is not ours (it lacks the label {LABEL}={OURS}); "
                "remove it, or set another webhook_name"
            )
        wanted = self._wanted(before, rules)
        if before is None or not _has(before, wanted):
            await self._registry.register(wanted)
            _log.info("webhooks registered", name=self._name, anew=before is None)
        self.problem = ""

    def _wanted(self, before: Object | None, rules: Rules) -> Object:
        ours = [self._policies(rules), self._events(rules)]
        if before is None:
            meta: Object = {"name": self._name, "labels": {LABEL: OURS}}
            others: list[Object] = []
        else:
            meta = before["metadata"]
            names = {each["name"] for each in ours}
            others = [each for each in before.get("webhooks") or () if each.get("name") not in names]
        return {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingWebhookConfiguration",
            "metadata": meta,
            "webhooks": [*ours, *others],
        }

    def _policies(self, rules: Rules) -> Object:
        groups: tuple[tuple[list[str], list[str]], ...] = (
            (
                [""],
                [
                    "pods",
                    "pods/ephemeralcontainers",
                    "pods/resize",
                    "replicationcontrollers",
                    "replicationcontrollers/scale",
                ],
            ),
            (
                ["apps"],
                [
                    "deployments",
                    "deployments/scale",
                    "replicasets",
                    "replicasets/scale",
                    "statefulsets",
                    "statefulsets/scale",
                    "daemonsets",
                ],
            ),
            (["batch"], ["jobs", "cronjobs"]),
            (["apps.openshift.io"], ["deploymentconfigs", "deploymentconfigs/scale"]),
        )
        asked = [
            {
                "apiGroups": group,
                "apiVersions": ["*"],
                "operations": ["CREATE", "UPDATE"],
                "resources": resources,
                "scope": "*",
            }
            for group, resources in groups
        ]
        return self._webhook(POLICIES, "/validate", asked, rules, self._spared)

    def _events(self, rules: Rules) -> Object:
        asked = [
            {
                "apiGroups": [""],
                "apiVersions": ["*"],
                "operations": ["CONNECT"],
                "resources": ["pods", "pods/exec", "pods/attach", "pods/portforward"],
                "scope": "*",
            }
        ]
        # Where a failure refuses, what is to repair it has to be let in.
        return self._webhook(
            EVENTS, "/events", asked, rules, self._spared if rules.config.fail_closed else []
        )

    def _webhook(
        self, name: str, path: str, asked: list[Object], rules: Rules, spared: Sequence[str]
    ) -> Object:
        selector = (
            {"matchExpressions": [{"key": _NAME, "operator": "NotIn", "values": list(spared)}]}
            if spared
            else {}
        )
        return {
            "name": name,
            "admissionReviewVersions": ["v1"],
            "clientConfig": self._target.config(path, self._authorities()),
            "failurePolicy": "Fail" if rules.config.fail_closed else "Ignore",
            "matchPolicy": "Equivalent",
            "namespaceSelector": selector,
            "objectSelector": {},
            "rules": asked,
            "sideEffects": "NoneOnDryRun",
            "timeoutSeconds": min(int(rules.timeout) + _WAY, LONGEST + _WAY),
        }


def _labels(given: Object) -> Object:
    found = given["metadata"].get("labels")
    return found if isinstance(found, dict) else {}


def _has(there: Object, wanted: Object) -> bool:
    """Whether what we want is there, whatever the API server put to it."""
    before = there.get("webhooks") or []
    return bool(before == wanted["webhooks"])
