"""The webhooks' registration: made, mended, and never made of somebody else's."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import pytest

from redoubt.admission import rules
from redoubt.admission.registering import EVENTS, INTERVAL, LABEL, OURS, POLICIES, Registrar, Target
from redoubt.admission.rules import Rules
from redoubt.errors import RedoubtError
from support.admission import default, settings


class Registry:
    """An API server that has at most one registration."""

    def __init__(self, there: dict[str, Any] | None = None) -> None:
        self.there = there
        self.writes = 0

    async def webhooks(self, name: str) -> dict[str, Any] | None:
        return self.there

    async def register(self, given: dict[str, Any]) -> None:
        self.writes += 1
        meta = {**given["metadata"], "resourceVersion": str(self.writes)}
        self.there = {**given, "metadata": meta}


class Made:
    """A registrar and what it goes by."""

    def __init__(
        self, registry: Registry, target: Target | None = None, interval: float = INTERVAL, **more: Any
    ) -> None:
        self.registry = registry
        self.rules: Rules | None = rules.read(settings(1, default("Latest tag"), **more))
        self.ca = b"one"
        self.registrar = Registrar(
            registry,
            "stackrox",
            target or Target(namespace="own", service="admission-control"),
            authorities=lambda: self.ca,
            rules=lambda: self.rules,
            spared=["kube-system", "own", "openshift-*"],
            interval=interval,
        )

    def register(self) -> dict[str, dict[str, Any]]:
        """The webhooks by name."""
        asyncio.run(self.registrar.register())
        assert self.registry.there is not None
        return {each["name"]: each for each in self.registry.there["webhooks"]}


def test_two_webhooks_are_registered_and_then_left_alone() -> None:
    made = Made(Registry())
    found = made.register()
    assert set(found) == {POLICIES, EVENTS}
    for name, path in ((POLICIES, "/validate"), (EVENTS, "/events")):
        config = found[name]["clientConfig"]
        assert config["service"] == {
            "name": "admission-control",
            "namespace": "own",
            "path": path,
            "port": 443,
        }
        assert base64.b64decode(config["caBundle"]) == b"one"
        assert (found[name]["sideEffects"], found[name]["failurePolicy"]) == ("NoneOnDryRun", "Ignore")
        assert found[name]["timeoutSeconds"] == 12
    (expression,) = found[POLICIES]["namespaceSelector"]["matchExpressions"]
    assert (expression["operator"], expression["values"]) == ("NotIn", ["kube-system", "own"])
    assert found[EVENTS]["namespaceSelector"] == {}
    made.register()
    assert made.registry.writes == 1


def test_another_ca_and_other_settings_are_registered() -> None:
    made = Made(Registry())
    made.register()
    made.ca = b"two"
    made.rules = rules.read(settings(2, fail_closed=True, timeout_seconds=30))
    found = made.register()
    assert base64.b64decode(found[EVENTS]["clientConfig"]["caBundle"]) == b"two"
    assert {(each["failurePolicy"], each["timeoutSeconds"]) for each in found.values()} == {("Fail", 30)}
    # Where failures refuse, what could mend them is let in.
    assert found[EVENTS]["namespaceSelector"] == found[POLICIES]["namespaceSelector"]


def test_webhooks_of_others_in_ours_stay() -> None:
    made = Made(Registry())
    made.register()
    assert made.registry.there is not None
    made.registry.there["webhooks"].append({"name": "theirs.example"})
    made.registry.there["webhooks"][0] = {"name": POLICIES}
    found = made.register()
    assert set(found) == {POLICIES, EVENTS, "theirs.example"}
    assert found[POLICIES]["timeoutSeconds"] == 12


@pytest.mark.parametrize("labels", [{}, None, {LABEL: "Helm"}])
def test_a_registration_without_our_label_is_not_touched(labels: dict[str, str] | None) -> None:
    theirs = {"metadata": {"name": "stackrox", "labels": labels, "resourceVersion": "1"}, "webhooks": []}
    made = Made(Registry(theirs))
    with pytest.raises(RedoubtError, match="is not ours"):
        made.register()
    assert made.registry.writes == 0


def test_nothing_is_registered_before_anything_counts() -> None:
    made = Made(Registry())
    made.rules = None
    asyncio.run(made.registrar.register())
    assert made.registry.there is None
    assert made.registrar.problem


def test_what_failed_is_tried_again_and_what_changed_is_seen() -> None:
    class Failing(Registry):
        failures = 1

        async def register(self, given: dict[str, Any]) -> None:
            if self.failures:
                self.failures -= 1
                raise RedoubtError("a conflict")
            await super().register(given)

    async def work() -> None:
        made = Made(Failing())
        made.registrar.start()
        async with asyncio.timeout(10):
            while made.registrar.problem != "a conflict":
                await asyncio.sleep(0.005)
            made.registrar.look()
            while made.registrar.problem:
                await asyncio.sleep(0.005)
            made.ca = b"two"
            while made.registry.writes < 2:
                await asyncio.sleep(0.005)
        await made.registrar.stop()

    asyncio.run(work())


def test_a_fault_of_ours_ends_no_registering() -> None:
    class Faulty(Registry):
        faults = 1

        async def webhooks(self, name: str) -> dict[str, Any] | None:
            if self.faults:
                self.faults -= 1
                raise ZeroDivisionError
            return await super().webhooks(name)

    async def work() -> None:
        made = Made(Faulty(), interval=0.01)
        made.registrar.start()
        async with asyncio.timeout(10):
            while made.registrar.problem:
                await asyncio.sleep(0.005)
        await made.registrar.stop()

    asyncio.run(work())


def test_a_url_stands_in_for_a_service() -> None:
    found = Made(Registry(), Target(url="https://127.0.0.1:8443/")).register()
    assert found[EVENTS]["clientConfig"]["url"] == "https://127.0.0.1:8443/events"
    assert OURS
