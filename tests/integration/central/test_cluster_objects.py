"""What else there is in clusters, in the original's form."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from redoubt.central.hub.receiving import ClusterRef
from redoubt.model.cluster import K8sRole, K8sRoleBinding, ServiceAccount, Subject
from support.clusters import add_objects
from support.sensors import ADMIN, Watched, deployment, sensor
from support.wire import run

pytestmark = pytest.mark.usefixtures("cheap_passwords")

OBJECTS: list[tuple[str, str, dict[str, Any]]] = [
    ("namespace", "ns-shop", {"name": "shop", "labels": {"team": "red"}}),
    (
        "deployment",
        "uid-web",
        deployment("web", serviceAccount="runner", imagePullSecrets=["pull"], labels={"app": "web"}),
    ),
    ("deployment", "uid-db", deployment("db", labels={"app": "db"})),
    ("pod", "pod-1", {"name": "web-1", "namespace": "shop", "deploymentId": "uid-web"}),
    ("node", "node-1", {"name": "worker", "kernelVersion": "6.1.0", "labels": {"zone": "a"}}),
    (
        "secret",
        "sec-1",
        {
            "name": "pull",
            "namespace": "shop",
            "type": "kubernetes.io/dockerconfigjson",
            "files": [{"name": ".dockerconfigjson", "type": "IMAGE_PULL_SECRET"}],
        },
    ),
    ("serviceaccount", "sa-1", {"name": "runner", "namespace": "shop"}),
    ("role", "role-1", {"name": "reader", "namespace": "shop", "rules": [{"verbs": ["get"]}]}),
    ("role", "role-2", {"name": "admin", "clusterRole": True}),
    (
        "binding",
        "bind-1",
        {
            "name": "readers",
            "namespace": "shop",
            "roleId": "role-1",
            "subjects": [
                {"kind": "SERVICE_ACCOUNT", "name": "runner", "namespace": "shop"},
                {"kind": "USER", "name": "erika"},
            ],
        },
    ),
    (
        "binding",
        "bind-2",
        {
            "name": "admins",
            "clusterRole": True,
            "roleId": "role-2",
            "subjects": [{"kind": "USER", "name": "erika"}, {"kind": "GROUP", "name": "ops"}],
        },
    ),
    ("networkpolicy", "np-1", {"name": "deny", "namespace": "shop", "spec": {"podSelector": {}}}),
]


@pytest.fixture
def shown(migrated: Callable[[str], str], tmp_path: Path) -> Callable[..., None]:
    url = migrated("redoubt.central.migrations")

    def started(look: Callable[[Watched, str], Any]) -> None:
        async def work() -> None:
            async with Watched(url, tmp_path) as running:
                cluster = await running.cluster("north")
                async with sensor(running, cluster) as one:
                    await one.ready()
                    for kind, identifier, what in OBJECTS:
                        await one.upsert(kind, identifier, what)
                    await one.kept()
                await look(running, cluster)

        run(work(), 240)

    return started


def test_each_kind_is_listed_and_shown(shown: Callable[..., None]) -> None:
    async def look(running: Watched, cluster: str) -> None:
        [pod] = (await running.get("/v1/pods", query='Pod Name:"web-1"'))["pods"]
        assert (pod["deploymentId"], pod["clusterId"], pod["ips"]) == ("uid-web", cluster, [])
        [node] = (await running.get(f"/v1/nodes/{cluster}"))["nodes"]
        assert (node["name"], node["clusterName"]) == ("worker", "north")
        assert (await running.get(f"/v1/nodes/{cluster}/node-1"))["kernelVersion"] == "6.1.0"
        [namespace] = (await running.get("/v1/namespaces"))["namespaces"]
        assert namespace["metadata"]["name"] == "shop"
        counts = [namespace[f"num{each}"] for each in ("Deployments", "Secrets", "NetworkPolicies")]
        assert counts == [2, 1, 1]
        assert (await running.get("/v1/namespaces/ns-shop")) == namespace
        [secret] = (await running.get("/v1/secrets"))["secrets"]
        assert (secret["name"], secret["types"]) == ("pull", ["IMAGE_PULL_SECRET"])
        assert (await running.get("/v1/secretscount"))["count"] == 1
        used = (await running.get("/v1/secrets/sec-1"))["relationship"]["deploymentRelationships"]
        assert used == [{"id": "uid-web", "name": "web"}]
        [account] = (await running.get("/v1/serviceaccounts"))["saAndRoles"]
        assert account["serviceAccount"]["name"] == "runner"
        assert [each["name"] for each in account["scopedRoles"][0]["roles"]] == ["reader"]
        assert account["deploymentRelationships"] == used
        assert (await running.get("/v1/serviceaccounts/sa-1"))["saAndRole"] == account
        roles = (await running.get("/v1/rbac/roles"))["roles"]
        assert [each["name"] for each in roles] == ["admin", "reader"]
        assert (await running.get("/v1/rbac/roles/role-1"))["role"]["rules"][0]["verbs"] == ["get"]
        assert len((await running.get("/v1/rbac/bindings"))["bindings"]) == 2
        assert (await running.get("/v1/rbac/bindings/bind-1"))["binding"]["roleId"] == "role-1"
        subjects = (await running.get("/v1/rbac/subjects"))["subjectAndRoles"]
        found = {each["subject"]["name"]: [role["name"] for role in each["roles"]] for each in subjects}
        assert found == {"erika": ["admin", "reader"], "ops": ["admin"]}
        assert await running.get("/v1/secretsextended") == await running.get("/v1/secrets")
        pages = [
            (await running.get("/v1/rbac/subjects", **{"pagination.limit": 1, "pagination.offset": at}))[
                "subjectAndRoles"
            ]
            for at in range(3)
        ]
        assert [each["subject"]["name"] for page in pages for each in page] == ["erika", "ops"]
        assert pages[0] == subjects[:1]
        erika = next(each["subject"]["id"] for each in subjects if each["subject"]["name"] == "erika")
        one = await running.get(f"/v1/rbac/subject/{erika}")
        assert [each["name"] for each in one["clusterRoles"]] == ["admin"]
        [policy] = (await running.get("/v1/networkpolicies", cluster_id=cluster, namespace="shop"))[
            "networkPolicies"
        ]
        assert policy == await running.get("/v1/networkpolicies/np-1")
        for path in ("/v1/export/pods", "/v1/export/nodes"):
            answer = await running.http.get(path, auth=ADMIN)
            assert len(answer.text.splitlines()) == 1
        for path in ("/v1/secrets/none", "/v1/rbac/subject/none", "/v1/rbac/roles/%00", "/v1/namespaces/x"):
            assert (await running.http.get(path, auth=ADMIN)).status_code == 404, path

    shown(look)


def test_roles_of_other_clusters_are_not_read_for_one_account_or_user(shown: Callable[..., None]) -> None:
    async def look(running: Watched, cluster: str) -> None:
        other = await running.cluster("south")
        given = {"cluster_id": other, "cluster_name": "south", "namespace": "shop"}
        subjects = (
            Subject(kind="SERVICE_ACCOUNT", name="runner", namespace="shop"),
            Subject(kind="USER", name="erika"),
        )
        await add_objects(
            running.pool,
            ClusterRef(UUID(other), "south"),
            ServiceAccount(id="sa-2", name="runner", **given),
            K8sRole(id="role-1", name="writer", **given),
            *(
                K8sRoleBinding(id=f"b{at}", name="writers", role_id="role-1", subjects=subjects, **given)
                for at in range(2)
            ),
        )
        [mine] = (await running.get("/v1/rbac/subjects", query="Cluster:south"))["subjectAndRoles"]
        await running.pool.execute(
            "UPDATE cluster_objects SET object = '{' WHERE kind IN ('role', 'binding') AND cluster = $1",
            UUID(cluster),
        )
        account = (await running.get("/v1/serviceaccounts/sa-2"))["saAndRole"]
        user = await running.get(f"/v1/rbac/subject/{mine['subject']['id']}")
        for told in (account, user):
            [scoped] = told["scopedRoles"]
            assert [each["name"] for each in scoped["roles"]] == ["writer"]
        for wrong in ("none", "ä", "AAAA", "bm9uZTpVU0VSOjp4"):
            assert (await running.http.get(f"/v1/rbac/subject/{wrong}", auth=ADMIN)).status_code == 404

    shown(look)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", {"db", "web"}),
        ("Deployment:we", {"web"}),
        ('Deployment:"we"', set()),
        ("Deployment:!web", {"db"}),
        ("Deployment:r/d.", {"db"}),
        ("Namespace:shop+Deployment:web,db", {"db", "web"}),
        ("Deployment Label:app=db", {"db"}),
        ("Deployment Label:app", {"db", "web"}),
        ("Image:registry.example/web", {"web"}),
        ("Cluster:south", set()),
        ("Created:>1d", set()),
    ],
)
def test_deployments_are_found_by_the_originals_search_text(
    shown: Callable[..., None], query: str, expected: set[str]
) -> None:
    async def look(running: Watched, cluster: str) -> None:
        labels = await running.get("/v1/deployments/metadata/labels")
        assert labels == {"labels": {"app": {"values": ["db", "web"]}}, "values": ["db", "web"]}
        answer = await running.get("/v1/deployments", query=query)
        assert {each["name"] for each in answer["deployments"]} == expected
        assert (await running.get("/v1/deploymentscount", query=query))["count"] == len(expected)

    shown(look)


def test_pages_and_orders(shown: Callable[..., None]) -> None:
    async def look(running: Watched, cluster: str) -> None:
        async def listed(**more: Any) -> list[str]:
            sent = {f"pagination.{key.replace('_', '.')}": value for key, value in more.items()}
            answer = await running.get("/v1/deployments", **sent)
            return [each["name"] for each in answer["deployments"]]

        assert await listed(limit=1) == ["db"]
        assert await listed(limit=1, offset=1) == ["web"]
        assert await listed(sortOption_field="Deployment", sortOption_reversed=True) == ["web", "db"]
        for bad in (
            {"query": "Planet:mars"},
            {"pagination.limit": -1},
            {"pagination.sortOption.field": "Mass"},
        ):
            answer = await running.http.get("/v1/deployments", params=bad, auth=ADMIN)
            assert answer.status_code == 400, bad

    shown(look)
