"""Network policies, changed at the API server as somebody at Central asks: all of it, or nothing.

One change at a time. What was there before is told, so that it can be undone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import structlog

from redoubt.errors import RedoubtError, UsageError
from redoubt.kubeapi import Api, ApiFailure
from redoubt.model.cluster import AppliedPolicies, PoliciesToApply, PolicyReference
from redoubt.networkpolicies import writing
from redoubt.sensor.cluster.discovery import Resource

_log = structlog.get_logger("networkpolicies")
#: Tries of one change where somebody else changes the policy at the same time.
_TRIES = 5
#: What somebody writes of ``metadata``; the rest the API server makes.
_WRITTEN = ("name", "namespace", "labels", "annotations")

_Undo = Callable[[], Awaitable[None]]


class Applier:
    """Does it. ``resource`` says how this cluster's API has a kind."""

    def __init__(self, api: Api, resource: Callable[[str], Resource | None]) -> None:
        self._api = api
        self._resource = resource
        self._one = asyncio.Lock()

    async def apply(self, asked: PoliciesToApply) -> AppliedPolicies:
        """Raises ``RedoubtError``; what was done before it failed is taken back."""
        resource = self._resource(writing.KIND)
        if resource is None:
            raise UsageError("this cluster's API has no network policies")
        given = [writing.from_object(each) for each in asked.policies]
        for each in asked.delete:
            writing.check_name(each.namespace, each.name)
        names = {(each.namespace, each.name) for each in given}
        async with self._one:
            change = _Change(self._api, resource)
            try:
                for policy in given:
                    await change.put(policy.namespace, policy.name, writing.to_object(policy))
                for each in asked.delete:
                    if (each.namespace, each.name) not in names:
                        await change.delete(each.namespace, each.name)
            except (RedoubtError, asyncio.CancelledError) as error:
                await change.take_back(error)
                raise
        _log.warning("network policies changed", put=len(given), deleted=len(asked.delete))
        return AppliedPolicies(restore=tuple(change.restore), delete=tuple(change.made))


class _Change:
    """A change that is under way."""

    def __init__(self, api: Api, resource: Resource) -> None:
        self._api = api
        self._resource = resource
        self._undo: list[_Undo] = []
        #: Policies as they were, and those that there were not.
        self.restore: list[dict[str, Any]] = []
        self.made: list[PolicyReference] = []

    async def put(self, namespace: str, name: str, wanted: dict[str, Any]) -> None:
        """Add one, or have it take the place of what is there."""
        for left in reversed(range(_TRIES)):
            before = await self._there(namespace, name)
            try:
                if before is None:
                    await self._api.change("POST", self._resource.of(namespace, "").rstrip("/"), wanted)
                    self.made.append(PolicyReference(namespace=namespace, name=name))
                    self._undo.append(lambda: self._gone(namespace, name))
                else:
                    version = before["metadata"].get("resourceVersion")
                    meta = {**wanted["metadata"], "resourceVersion": version}
                    await self._api.change(
                        "PUT", self._resource.of(namespace, name), {**wanted, "metadata": meta}
                    )
                    self._replaced(before)
            except ApiFailure as failure:
                if failure.code != 409 or not left:
                    raise
                continue
            return

    async def delete(self, namespace: str, name: str) -> None:
        """Remove one. Raises ``UsageError`` where there is none."""
        before = await self._there(namespace, name)
        if before is None:
            raise UsageError(f"there is no network policy {namespace}/{name}")
        await self._gone(namespace, name, before["metadata"].get("uid"))
        self._replaced(before)

    async def take_back(self, error: BaseException) -> None:
        """Undo what was done. Raises ``UsageError`` that says both where that does not succeed."""
        for undo in reversed(self._undo):
            try:
                await undo()
            except RedoubtError as other:
                raise UsageError(
                    f"{error}; and what was done before could not be taken back: {other}"
                ) from None

    def _replaced(self, before: dict[str, Any]) -> None:
        meta = {name: before["metadata"][name] for name in _WRITTEN if name in before["metadata"]}
        spec = before.get("spec", {})
        policy = {"apiVersion": writing.API, "kind": writing.KIND, "metadata": meta, "spec": spec}
        self.restore.append(policy)
        self._undo.append(
            lambda: _Change(self._api, self._resource).put(meta["namespace"], meta["name"], policy)
        )

    async def _there(self, namespace: str, name: str) -> dict[str, Any] | None:
        try:
            found = msgspec.json.decode(await self._api.get(self._resource.of(namespace, name)))
        except ApiFailure as failure:
            if failure.code == 404:
                return None
            raise
        return found if isinstance(found, dict) else None

    async def _gone(self, namespace: str, name: str, uid: object = None) -> None:
        body: dict[str, Any] = {"kind": "DeleteOptions", "apiVersion": "v1"}
        if uid:
            body["preconditions"] = {"uid": uid}
        try:
            await self._api.change("DELETE", self._resource.of(namespace, name), body)
        except ApiFailure as failure:
            if failure.code != 404:
                raise
