"""Policies at Central: kept, carried in and out, and asked of images that are really scanned."""

from __future__ import annotations

import asyncio
import io
import json
import zipfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from redoubt.central.policies.keeping import Policies
from redoubt.central.services import Services
from redoubt.egress import Policy as EgressPolicy
from redoubt.policies.defaults import default_policies
from support.centrals import PASSWORD, Central
from support.registry import Registry, needs_registry
from support.scanners import Scanners, Shelf, pushed

pytestmark = pytest.mark.usefixtures("cheap_passwords")
Migrated = Callable[[str], str]
ADMIN = ("admin", PASSWORD)


class WithPolicies(Central):
    async def equip(self, services: Services) -> None:
        services.policies = Policies(services.pool)
        services.parts.append(services.policies)

    async def call(self, method: str, path: str, status: int = 200, body: Any = None, **more: Any) -> Any:
        answer = await self.http.request(method, path, json=body, auth=ADMIN, **more)
        assert answer.status_code == status, answer.text
        return answer.json()


def asking(migrated: Migrated, folder: Path, work: Callable[[WithPolicies], Awaitable[None]]) -> None:
    url = migrated("redoubt.central.migrations")

    async def running() -> None:
        async with WithPolicies(url, folder) as central:
            await work(central)

    asyncio.run(asyncio.wait_for(running(), 240))


def mine(name: str = "Mine for tests", **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "policyVersion": "1.1",
        "severity": "LOW_SEVERITY",
        "categories": ["Tests"],
        "lifecycleStages": ["BUILD"],
        "policySections": [{"policyGroups": [{"fieldName": "Image Tag", "values": [{"value": "1.*"}]}]}],
        **more,
    }


def test_default_policies_are_there_and_can_be_disabled_but_not_deleted(
    migrated: Migrated, tmp_path: Path
) -> None:
    async def work(central: WithPolicies) -> None:
        listed = (await central.call("GET", "/v1/policies"))["policies"]
        assert [each["name"] for each in listed] == sorted(policy.name for policy in default_policies())
        one = next(each for each in listed if each["name"] == "Latest tag")
        path = f"/v1/policies/{one['id']}"
        assert (await central.call("DELETE", path, 400))["code"] == 3
        await central.call("PATCH", path, body={"disabled": True})
        whole = await central.call("GET", path)
        assert whole["disabled"]
        assert whole["isDefault"]
        assert whole["lastUpdated"].endswith("Z")
        await Policies(central.pool).start()  # another start adds nothing and changes nothing
        assert (await central.call("GET", path))["disabled"]
        changed = {**whole, "severity": "HIGH_SEVERITY", "isDefault": False, "criteriaLocked": False}
        await central.call("PUT", path, body=changed)
        again = await central.call("GET", path)
        assert (again["severity"], again["isDefault"], again["criteriaLocked"]) == (
            "HIGH_SEVERITY",
            True,
            True,
        )
        changed["policySections"] = mine()["policySections"]
        assert "locked" in (await central.call("PUT", path, 400, body=changed))["message"]
        await central.call("PATCH", "/v1/policies/none", 404, body={"disabled": True})

    asking(migrated, tmp_path, work)


def test_policies_of_ones_own(migrated: Migrated, tmp_path: Path) -> None:
    async def work(central: WithPolicies) -> None:
        made = await central.call("POST", "/v1/policies", body=mine(isDefault=True))
        path = f"/v1/policies/{made['id']}"
        assert not made["isDefault"]
        assert await central.call("GET", path) == made
        assert (await central.call("POST", "/v1/policies", 409, body=mine()))["code"] == 6
        bad = await central.call("POST", "/v1/policies", 400, body=mine("x", severity="UNSET_SEVERITY"))
        assert "5 to 128" in bad["message"]
        assert "severity" in bad["message"]
        process = [{"policyGroups": [{"fieldName": "Process Name", "values": [{"value": "sh"}]}]}]
        runtime = await central.call("POST", "/v1/policies", 400, body=mine(policySections=process))
        assert "not supported for event source" in runtime["message"]
        for body in ({}, [], "x", {"name": 1}, mine(notifiers=["n"]), mine(id="x"), mine(severity="BAD")):
            await central.call("POST", "/v1/policies", 400, body=body)
        await central.call("PUT", path, 400, body={**made, "id": "other"})
        await central.call("PUT", path, body={**made, "name": "Renamed policy"})
        assert (await central.call("GET", path))["name"] == "Renamed policy"
        assert "Tests" in (await central.call("GET", "/v1/policyCategories"))["categories"]
        assert await central.call("GET", f"{path}/status") == {
            "id": made["id"], "name": "Renamed policy", "asked": True, "reason": "", "noSource": [],
        }  # fmt: skip
        await central.call("DELETE", path)
        await central.call("DELETE", path)
        await central.call("GET", path, 404)

    asking(migrated, tmp_path, work)


def test_policies_are_carried_out_and_in(migrated: Migrated, tmp_path: Path) -> None:
    async def work(central: WithPolicies) -> None:
        made = await central.call("POST", "/v1/policies", body=mine(rationale='ünï\n"c\\u0000de"'))
        default = default_policies()[3]
        wanted = {"policyIds": [made["id"], default.id]}
        exported = await central.call("POST", "/v1/policies/export", body=wanted)
        assert exported["policies"][0] == made
        assert exported["policies"][1]["id"] == default.id
        missing = await central.call(
            "POST", "/v1/policies/export", 400, body={"policyIds": [made["id"], "nope"]}
        )
        assert "nope" in missing["message"]

        done = await central.call("POST", "/v1/policies/import", body=exported)
        assert not done["allSucceeded"]
        assert [[error["type"] for error in each["errors"]] for each in done["responses"]] == [
            ["duplicate_id"],
            ["duplicate_system_policy_id"],
        ]
        again = {"policies": exported["policies"][:1], "metadata": {"overwrite": True}}
        done = await central.call("POST", "/v1/policies/import", body=again)
        assert done["allSucceeded"]
        assert await central.call("GET", f"/v1/policies/{made['id']}") == made
        await central.call("DELETE", f"/v1/policies/{made['id']}")
        done = await central.call("POST", "/v1/policies/import", body={"policies": exported["policies"][:1]})
        assert done["responses"][0]["succeeded"]
        assert await central.call("GET", f"/v1/policies/{made['id']}") == made

        bad = [mine("x"), mine("A copy of it", notifiers=["n"], id="00000000-0000-4000-8000-00000000abcd")]
        done = await central.call("POST", "/v1/policies/import", body={"policies": bad})
        assert [each["succeeded"] for each in done["responses"]] == [False, True]
        assert "5 to 128" in done["responses"][0]["errors"][0]["validationError"]
        assert done["responses"][1]["errors"][0]["type"] == "removed_clusters_or_notifiers"
        assert done["responses"][1]["policy"]["notifiers"] == []
        odd = [
            mine("Another one here", id="a\x00b"),
            mine("And one more here", id="x" * 300),
            mine("NUL \x00 in it"),
        ]
        done = await central.call("POST", "/v1/policies/import", body={"policies": odd})
        assert [each["succeeded"] for each in done["responses"]] == [False, False, False]
        same = {"policies": [mine("Latest tag")], "metadata": {"overwrite": True}}
        done = await central.call("POST", "/v1/policies/import", body=same)
        assert done["responses"][0]["errors"][0]["type"] == "duplicate_system_policy_name"
        assert done["responses"][0]["errors"][0]["duplicateName"] == "Latest tag"

    asking(migrated, tmp_path, work)


def test_a_criterion_without_data_is_said(migrated: Migrated, tmp_path: Path) -> None:
    async def work(central: WithPolicies) -> None:
        listed = (await central.call("GET", "/v1/policies"))["policies"]
        signed = next(each["id"] for each in listed if each["name"].startswith("Red Hat images must"))
        status = await central.call("GET", f"/v1/policies/{signed}/status")
        assert (status["asked"], status["reason"]) == (False, "disabled")
        assert [each["criterion"] for each in status["noSource"]] == ["Image Signature Verified By"]

    asking(migrated, tmp_path, work)


def test_what_is_compiled_follows_changes_of_other_replicas(migrated: Migrated, tmp_path: Path) -> None:
    async def work(central: WithPolicies) -> None:
        other = Policies(central.pool)
        before = await other.compiled()
        assert await other.compiled() is before
        made = await central.call("POST", "/v1/policies", body=mine())
        after = await other.compiled()
        assert len(after.compiled) == len(before.compiled) + 1
        await central.call("PATCH", f"/v1/policies/{made['id']}", body={"disabled": True})
        assert len((await other.compiled()).compiled) == len(before.compiled)
        await central.call("DELETE", f"/v1/policies/{made['id']}")
        assert await other.compiled() is not after

    asking(migrated, tmp_path, work)


MANIFEST = """
apiVersion: apps/v1
kind: Deployment
metadata: {{name: shop, labels: {{app: shop}}}}
spec:
  template:
    spec:
      containers:
      - {{name: web, image: {image}, securityContext: {{privileged: true}}}}
      - {{name: odd, image: 127.0.0.1:1/none/there:latest}}
---
apiVersion: v1
kind: Service
metadata: {{name: shop, namespace: stores}}
"""


async def manifests_are_checked(call: Callable[..., Awaitable[Any]], name: str) -> None:
    text = MANIFEST.format(image=name)
    found = await call("/v1/detect/deploy/yaml", {"yaml": text, "namespace": "stores"})
    (run,) = found["runs"]
    assert (run["name"], run["type"]) == ("shop", "Deployment")
    assert found["ignoredObjectRefs"] == ["stores/shop[/v1, Kind=Service]"]
    alerts = {each["policy"]["name"]: each for each in run["alerts"]}
    assert (
        alerts["Privileged Container"]["violations"][0]["message"]
        == "Container 'web': Privileged Container: true"
    )
    assert alerts["Privileged Container"]["deployment"]["namespace"] == "stores"
    assert "Latest tag" in alerts
    assert [each["image"] for each in found["imageProblems"]] == ["127.0.0.1:1/none/there:latest"]
    privileged = await call("/v1/detect/deploy/yaml", {"yaml": text, "policyCategories": ["Privileges"]})
    assert all("Privileges" in each["policy"]["categories"] for each in privileged["runs"][0]["alerts"])
    assert (await call("/v1/detect/deploy/yaml", {"yaml": text, "enforcementOnly": True}))["runs"][0][
        "alerts"
    ] == []
    workload = {"name": "shop", "namespace": "stores", "replicas": "3", "hostPid": True, "inactive": None}
    told = await call("/v1/detect/deploy", {"deployment": workload})
    assert any("process namespace" in each["policy"]["name"] for each in told["runs"][0]["alerts"])
    bombs = ("[" * 200, "a: &a [x]\nb: [" + "*a, " * 30 + "]", "a: [", "just text", "\t- x")
    for bad in ("", *bombs):
        await call("/v1/detect/deploy/yaml", {"yaml": bad}, 400)
    await call("/v1/detect/deploy/yaml", {"yaml": text, "cluster": "c"}, 400)
    await call("/v1/detect/deploy", {"deployment": {"containers": 1}}, 400)
    await call("/v1/detect/deploy", {}, 400)


@needs_registry
def test_an_image_is_checked(migrated: Migrated, tmp_path: Path, registry: Registry, shelf: Shelf) -> None:
    name = pushed(registry, tmp_path, "checked:1.4")
    urls = migrated("redoubt.central.migrations"), migrated("redoubt.scanner.migrations")
    allowed = EgressPolicy(offline=True, allowed_hosts=frozenset({"127.0.0.1"}))

    class Whole(Scanners):
        async def equip(self, services: Services) -> None:
            await super().equip(services)
            services.policies = Policies(services.pool)
            services.parts.append(services.policies)

    async def running() -> None:
        async with Whole(urls, tmp_path, shelf, policy=allowed) as central:

            async def call(path: str, body: Any, status: int = 200) -> Any:
                answer = await central.http.post(path, json=body, auth=ADMIN)
                assert answer.status_code == status, answer.text
                return answer.json()

            cve = [{"policyGroups": [{"fieldName": "CVE", "values": [{"value": "CVE-2099-0001"}]},
                                     {"fieldName": "Fixed By", "values": [{"value": ".*"}]}]}]  # fmt: skip
            signer = "io.stackrox.signatureintegration.00000000-0000-4000-8000-00000000000a"
            signature = [
                {
                    "policyGroups": [
                        {"fieldName": "Image Signature Verified By", "values": [{"value": signer}]}
                    ]
                }
            ]
            flaws = mine("No fixable flaws", policySections=cve, categories=["Flaws"],
                         enforcementActions=["FAIL_BUILD_ENFORCEMENT"])  # fmt: skip
            await call("/v1/policies", flaws)
            await call("/v1/policies", mine("Signed images", policySections=signature, categories=["Flaws"]))
            found = await call("/v1/detect/build", {"imageName": name, "policyCategories": ["Flaws"]})
            (alert,) = found["alerts"]
            assert alert["policy"]["name"] == "No fixable flaws"
            assert alert["policy"]["enforcementActions"] == ["FAIL_BUILD_ENFORCEMENT"]
            assert (alert["lifecycleStage"], alert["state"]) == ("BUILD", "ACTIVE")
            assert alert["image"]["name"]["fullName"] == name
            (violation,) = alert["violations"]
            assert "CVE-2099-0001" in violation["message"]
            assert {"key": "CVE", "value": "CVE-2099-0001"} in violation["keyValueAttrs"]["attrs"]
            (question,) = found["unanswered"]
            assert question["criteria"] == ["Image Signature Verified By"]
            everything = await call("/v1/detect/build", {"image": {"name": {"fullName": name}}})
            names = {each["policy"]["name"] for each in everything["alerts"]}
            assert "Docker CIS 4.1: Ensure That a User for the Container Has Been Created" in names
            for body in ({}, {"imageName": name, "policyCategories": ["Nope"]}, {"imageName": name, "cluster": "x"},
                         {"imageName": name, "sendNotifications": True}):  # fmt: skip
                await call("/v1/detect/build", body, 400)
            await manifests_are_checked(call, name)
            tried = await call("/v1/policies/dryrun", mine("Tried out here", disabled=True))
            assert tried["alerts"] == [
                {"deployment": "", "violations": [f"Image '{name}': Image Tag: 1.4"], "image": name}
            ]
            assert (tried["images"], tried["incomplete"]) == (1, False)
            deploy = mine("Tried out here", lifecycleStages=["DEPLOY"])
            assert (await call("/v1/policies/dryrun", deploy))["alerts"] == []
            await call("/v1/policies/dryrun", {}, 400)
            assert json.dumps(found).count("CVE-2099-0001") >= 2

    asyncio.run(asyncio.wait_for(running(), 240))


def test_categories_are_made_renamed_in_policies_too_and_deleted(migrated: Migrated, tmp_path: Path) -> None:
    async def work(central: WithPolicies) -> None:
        path = "/v1/policycategories"

        async def names(query: str = "") -> dict[str, str]:
            found = (await central.call("GET", path, params={"query": query}))["categories"]
            return {each["name"]: each["id"] for each in found}

        default = await central.call("GET", f"{path}/{(await names())['Zero Trust']}")
        assert default["isDefault"]
        made = await central.call("POST", path, body={"name": "Shop"})
        assert (made["name"], made["isDefault"]) == ("Shop", False)
        for taken in ("shop", "Zero trust"):
            await central.call("POST", path, 409, body={"name": taken})
        await central.call("POST", path, 400, body={"name": " "})
        one = await central.call("POST", "/v1/policies", body=mine(categories=["Tests", "Shop"]))
        tests = (await names("Policy Category:tes"))["Tests"]  # one that only a policy has
        renamed = await central.call("PUT", path, body={"id": tests, "newCategoryName": "Trials"})
        assert renamed == {"id": tests, "name": "Trials", "isDefault": False}
        assert (await central.call("GET", f"/v1/policies/{one['id']}"))["categories"] == ["Trials", "Shop"]
        assert "Tests" not in await names()
        assert (await names())["Trials"] == tests
        await central.call("PUT", path, 409, body={"id": tests, "newCategoryName": "SHOP"})
        await central.call("PUT", path, 400, body={"id": default["id"], "newCategoryName": "Trust"})
        await central.call("PUT", path, 400, body={"id": "x", "newCategoryName": "Trust"})
        await central.call("DELETE", f"{path}/{default['id']}", 400)
        assert "Mine for tests" in (await central.call("DELETE", f"{path}/{made['id']}", 400))["message"]
        await central.call("DELETE", f"/v1/policies/{one['id']}")
        await central.call("DELETE", f"{path}/{made['id']}")
        await central.call("GET", f"{path}/{made['id']}", 404)
        assert not {"Shop", "Tests"} & set(await names())

    asking(migrated, tmp_path, work)


def test_what_policies_refer_to_is_named_and_policies_become_custom_resources(
    migrated: Migrated, tmp_path: Path
) -> None:
    async def work(central: WithPolicies) -> None:
        vectors = [{"tactic": "TA0002", "techniques": ["T1609", "T9999"]}]
        one = await central.call("POST", "/v1/policies", body=mine(mitreAttackVectors=vectors))
        told = await central.call("GET", f"/v1/policies/{one['id']}/mitrevectors")
        assert told["policy"]["id"] == one["id"]
        (vector,) = told["vectors"]
        assert vector["tactic"]["name"] == "Execution"
        assert [each["name"] for each in vector["techniques"]] == [
            "Container Administration Command",
            "T9999",
        ]
        bare = {"options.excludePolicy": True}
        assert (await central.call("GET", f"/v1/policies/{one['id']}/mitrevectors", params=bare))[
            "policy"
        ] is None
        listed = (await central.call("GET", "/v1/mitreattackvectors"))["mitreAttackVectors"]
        tactic = await central.call("GET", "/v1/mitreattackvectors/TA0002")
        assert tactic["mitreAttackVector"] in listed
        await central.call("GET", "/v1/mitreattackvectors/T1609", 404)
        path = "/api/policy/custom-resource/save-as-zip"
        answer = await central.http.post(path, json={"ids": [one["id"]]}, auth=ADMIN)
        assert answer.headers["content-type"] == "application/zip"
        with zipfile.ZipFile(io.BytesIO(answer.content)) as made:
            assert made.namelist() == ["mine-for-tests.yaml"]
        for wrong in ([], ["nobody"]):
            await central.call("POST", path, 400, body={"ids": wrong})

    asking(migrated, tmp_path, work)
