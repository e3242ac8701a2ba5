"""Policies tried out on deployments, at once and in the background; and found by what is searched for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from redoubt.central.policies import trying
from redoubt.central.policies.keeping import Policies
from redoubt.central.services import Services
from redoubt.model.workload import Container, Deployment, SecurityContext
from support.alerts import CLUSTER
from support.centrals import PASSWORD, Central, authorized
from support.clusters import add_cluster, add_objects

pytestmark = pytest.mark.usefixtures("cheap_passwords")
Migrated = Callable[[str], str]


class WithPolicies(Central):
    async def equip(self, services: Services) -> None:
        services.policies = Policies(services.pool)
        services.parts.append(services.policies)
        trying.equip(services)
        await add_cluster(services.pool, CLUSTER)
        privileged = Container(name="main", security_context=SecurityContext(privileged=True))
        for namespace, container in (("web", privileged), ("db", Container(name="main"))):
            given = Deployment(
                id=f"id-{namespace}",
                name=f"in-{namespace}",
                namespace=namespace,
                cluster_id=str(CLUSTER.id),
                containers=(container,),
            )
            await add_objects(services.pool, CLUSTER, given)

    async def call(self, method: str, path: str, status: int = 200, **more: Any) -> Any:
        more.setdefault("auth", ("admin", PASSWORD))
        answer = await self.http.request(method, path, **more)
        assert answer.status_code == status, answer.text
        return answer.json()

    async def done(self, job: str) -> Any:
        async with asyncio.timeout(60):
            while (found := await self.call("GET", f"/v1/policies/dryrunjob/{job}"))["pending"]:
                await asyncio.sleep(0.05)
        return found["result"]


def asking(migrated: Migrated, folder: Path, work: Callable[[WithPolicies], Awaitable[None]]) -> None:
    url = migrated("redoubt.central.migrations")

    async def running() -> None:
        async with WithPolicies(url, folder) as central:
            await work(central)

    asyncio.run(asyncio.wait_for(running(), 240))


def privileged(field: str = "Privileged Container", value: str = "true", **more: Any) -> dict[str, Any]:
    return {
        "name": "Tried out here",
        "policyVersion": "1.1",
        "severity": "LOW_SEVERITY",
        "categories": ["Tests"],
        "lifecycleStages": ["DEPLOY"],
        "policySections": [{"policyGroups": [{"fieldName": field, "values": [{"value": value}]}]}],
        **more,
    }


def test_a_policy_is_tried_on_deployments(migrated: Migrated, tmp_path: Path) -> None:
    async def work(central: WithPolicies) -> None:
        found = await central.call("POST", "/v1/policies/dryrun", json=privileged(disabled=True))
        assert [each["deployment"] for each in found["alerts"]] == ["in-web"]
        assert "main" in found["alerts"][0]["violations"][0]
        assert (found["deployments"], found["unanswered"], found["incomplete"]) == (2, 0, False)
        job = (await central.call("POST", "/v1/policies/dryrunjob", json=privileged()))["jobId"]
        assert await central.done(job) == found
        nobody_scanned = await central.call(
            "POST", "/v1/policies/dryrun", json=privileged("CVE", "CVE-2099-.*")
        )
        assert nobody_scanned["alerts"] == []
        scoped = privileged(scope=[{"namespace": "db"}])
        assert (await central.call("POST", "/v1/policies/dryrun", json=scoped))["alerts"] == []

    asking(migrated, tmp_path, work)


def test_dry_runs_are_their_makers_and_can_be_cancelled(migrated: Migrated, tmp_path: Path) -> None:
    async def work(central: WithPolicies) -> None:
        job = (await central.call("POST", "/v1/policies/dryrunjob", json=privileged()))["jobId"]
        path = f"/v1/policies/dryrunjob/{job}"
        other: dict[str, Any] = {"auth": None, "headers": authorized(await central.token("Admin"))}
        await central.call("GET", path, 404, **other)
        await central.call("DELETE", path, **other)
        await central.done(job)
        await central.call("DELETE", path)
        await central.call("GET", path, 404)
        await central.call("DELETE", f"/v1/policies/dryrunjob/{uuid4()}")
        await central.call("POST", "/v1/policies/dryrunjob", 400, json={})
        await central.call("POST", "/v1/policies/reassess", 503)  # there are no clusters here

    asking(migrated, tmp_path, work)


def test_who_may_not_see_deployments_is_told_of_none(migrated: Migrated, tmp_path: Path) -> None:
    async def work(central: WithPolicies) -> None:
        mine: dict[str, Any] = {
            "auth": None,
            "headers": authorized(await central.token("Vulnerability Report Creator")),
        }
        found = await central.call("POST", "/v1/policies/dryrun", json=privileged(), **mine)
        assert (found["alerts"], found["deployments"]) == ([], 0)

    asking(migrated, tmp_path, work)


def test_policies_are_found_by_what_is_searched_for(migrated: Migrated, tmp_path: Path) -> None:
    async def work(central: WithPolicies) -> None:
        async def found(query: str) -> set[str]:
            answer = await central.call("GET", "/v1/policies", params={"query": query})
            return {each["name"] for each in answer["policies"]}

        everything = await found("")
        assert len(everything) > 50
        assert await found('Policy:"Latest tag"') == {"Latest tag"}
        high, off = await found("Severity:HIGH"), await found("Disabled:true")
        assert high
        assert off
        assert await found("Severity:HIGH+Disabled:true") == high & off
        assert await found("Severity:HIGH+Disabled:!true") == high - off
        assert await found("Lifecycle Stage:BUILD,RUNTIME") <= everything
        assert await found("Policy:r/.*ssh.*") == await found("Policy:c/ssh")
        await central.call("GET", "/v1/policies", 400, params={"query": "Colour:red"})

    asking(migrated, tmp_path, work)
