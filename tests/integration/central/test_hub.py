"""A cluster's Sensor and Central: over the real port, into a real PostgreSQL. The Sensor is a stand-in."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import UUID, uuid4

import asyncpg
import msgspec
import pytest

from redoubt.central.clusters.records import Cluster
from redoubt.central.hub.intake import Intake, Link
from redoubt.central.hub.receiving import ClusterRef
from redoubt.central.hub.session import Inbox
from redoubt.central.hub.told import Told
from redoubt.central.refusals import FailedPrecondition, Unavailable
from redoubt.central.store.clusters import ClusterStore
from redoubt.central.store.hub import hold
from redoubt.errors import RedoubtError
from redoubt.model.cluster import BaselineSync, Pod, ServiceHealth
from redoubt.policies.defaults import default_policies
from redoubt.wire.failures import Unavailable as Away
from redoubt.wire.proto.redoubt.v1 import sensors_pb2 as pb
from support.centrals import authorized
from support.clusters import add_objects
from support.sensors import ADMIN, PATIENCE, Watched, deployment, sensor
from support.wire import Certificates, run

pytestmark = pytest.mark.usefixtures("cheap_passwords")
Migrated = Callable[[str], str]
Work = Callable[[Watched], Awaitable[None]]


@pytest.fixture
def central(migrated: Migrated, tmp_path: Path) -> Callable[[Work], None]:
    def started(work: Work, **settings: Any) -> None:
        url = migrated("redoubt.central.migrations")

        async def within() -> None:
            async with Watched(url, tmp_path, **settings) as running:
                await work(running)

        run(within(), 240)

    return started


def test_a_sensor_is_told_what_it_decides_by_and_its_deployment_is_listed(
    central: Callable[[Work], None],
) -> None:
    async def work(running: Watched) -> None:
        identifier = await running.cluster("north")
        async with sensor(running, identifier) as one:
            welcome = await one.ready()
            assert (welcome.cluster_id, welcome.cluster_name) == (identifier, "north")
            order = [each.WhichOneof("message") for each in one.told]
            assert order == ["welcome", "config", "policies", "baselines", "known"]
            policies = msgspec.json.decode(one.of("policies")[0].policies)
            assert {each["name"] for each in policies} == {
                each.name for each in default_policies() if not each.disabled
            }
            await one.upsert("deployment", "uid-web", deployment("web", clusterId="another", clusterName="x"))
            await one.kept()
        listed = (await running.get("/v1/deployments"))["deployments"]
        assert [(each["name"], each["cluster"], each["clusterId"]) for each in listed] == [
            ("web", "north", identifier)
        ]
        whole = await running.get("/v1/deployments/uid-web")
        assert whole["clusterId"] == identifier
        assert whole["hostNetwork"] is False
        assert whole["containers"][0]["image"]["name"]["fullName"] == "registry.example/web:1.0"

    central(work)


async def hung_up(running: Watched) -> None:
    """Until Central knows that no Sensor is connected."""
    async with asyncio.timeout(PATIENCE):
        while await running.pool.fetchval("SELECT bool_or(connected) FROM sensor_sessions"):
            await asyncio.sleep(0.01)


def names(answer: dict[str, Any]) -> list[str]:
    return [each["name"] for each in answer["deployments"]]


def test_who_is_being_told_all_is_told_nothing_else_before(
    central: Callable[[Work], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(running: Watched) -> None:
        first = Told.first

        async def slowly(self: Told) -> AsyncIterator[pb.ToSensor]:
            async for message in first(self):
                yield message
                if message.HasField("welcome"):
                    running.hub.pusher.look()  # as where another replica has something for a Sensor
                    await asyncio.sleep(0.5)

        monkeypatch.setattr(Told, "first", slowly)
        cluster = await running.cluster("north")
        async with sensor(running, cluster) as one:
            await one.ready()
            order = [each.WhichOneof("message") for each in one.told]
            assert [each for each in order if each != "authorities"] == [
                *("welcome", "config", "policies", "baselines", "known")
            ]

    central(work)


def test_what_is_sent_again_is_stored_once_and_what_was_acknowledged_is_not_asked_for(
    central: Callable[[Work], None],
) -> None:
    async def work(running: Watched) -> None:
        cluster = await running.cluster("north")
        async with sensor(running, cluster) as one:
            await one.ready()
            await one.upsert("deployment", "uid-web", deployment("web"))
            await one.kept()
            await one.remove("deployment", "uid-web")
            await one.kept()
        async with sensor(running, cluster, reconnect=True) as one:
            assert (await one.ready()).acknowledged == 2
            # The same numbers again, as after a lost acknowledgement: the deployment does not come back.
            one.number = 0
            await one.upsert("deployment", "uid-web", deployment("web"))
            one.number = 2
            await one.upsert("deployment", "uid-api", deployment("api"))
            await one.kept(3)
        assert names(await running.get("/v1/deployments")) == ["api"]
        await hung_up(running)
        # Another numbering begins anew.
        async with sensor(running, cluster, spool="another") as one:
            assert (await one.ready()).acknowledged == 0

    central(work)


def test_what_was_neither_sent_nor_named_is_gone_after_a_sync_and_its_number_is_shown(
    central: Callable[[Work], None],
) -> None:
    async def work(running: Watched) -> None:
        cluster, other = await running.cluster("north"), await running.cluster("south")
        for identifier in (cluster, other):
            async with sensor(running, identifier, spool=identifier) as one:
                await one.ready()
                for name in ("web", "api", "gone"):
                    await one.upsert("deployment", f"uid-{name}", deployment(name))
                await one.upsert("pod", "pod-1", {"name": "web-1", "namespace": "shop"})
                await one.kept()
        async with sensor(running, cluster, spool=cluster, reconnect=True) as one:
            await one.ready()
            known = {(each.kind, each.id): each.hash for part in one.of("known") for each in part.objects}
            assert set(known) == {
                ("pod", "pod-1"),
                *(("deployment", f"uid-{n}") for n in ("web", "api", "gone")),
            }
            await one.upsert("deployment", "uid-web", deployment("web", replicas=7))
            await one.synced(deployment=["uid-api"])
            await one.upsert("deployment", "uid-new", deployment("new"))
            await one.kept()
            # A second word of the kind means nothing.
            await one.synced()
            await one.upsert("deployment", "uid-last", deployment("last"))
            await one.kept()
        listed = await running.get("/v1/deployments", query="Cluster:north")
        assert names(listed) == ["api", "last", "new", "web"]
        assert names(await running.get("/v1/deployments", query="Cluster:south")) == ["api", "gone", "web"]
        found = (await running.get(f"/v1/clusters/{cluster}"))["cluster"]["healthStatus"]
        assert found["removedAtSync"] == {"deployment": 1, "pod": 1}

    central(work)


def test_a_second_sensor_is_refused_while_the_first_is_fresh_and_the_same_one_takes_its_place(
    central: Callable[[Work], None],
) -> None:
    async def work(running: Watched) -> None:
        cluster = await running.cluster("north")
        async with sensor(running, cluster, spool="first") as first:
            await first.ready()
            with pytest.raises(RedoubtError, match="another Sensor"):
                async with sensor(running, cluster, spool="second") as second:
                    await second.ready()
            # The same one again, whose first connection is not known to be dead yet.
            async with sensor(running, cluster, spool="first", reconnect=True) as again:
                await again.ready()
                with pytest.raises(RedoubtError, match="connected again"):
                    await first.over()
                await again.upsert("deployment", "uid-web", deployment("web"))
                await again.kept()
        await hung_up(running)
        async with sensor(running, cluster, spool="second") as second:
            await second.ready()
            # It hung without a word for longer than is let pass.
            await running.pool.execute("UPDATE sensor_sessions SET heard = now() - interval '91 seconds'")
            async with sensor(running, cluster, spool="third") as third:
                await third.ready()

    central(work)


def test_a_cluster_is_deleted_while_something_of_it_is_kept(central: Callable[[Work], None]) -> None:
    async def work(running: Watched) -> None:
        identifier = await running.cluster("north")
        async with sensor(running, identifier) as one:
            await one.ready()
        cluster, pool = UUID(identifier), running.pool
        # That it is gone is noted before, or that would wait too, and the deletion behind it.
        await hung_up(running)
        holder = await pool.fetchval("SELECT holder FROM sensor_sessions")
        waits = (
            "SELECT FROM pg_stat_activity WHERE $1 = ANY(pg_blocking_pids(pid)) AND query NOT LIKE 'UPDATE%'"
        )
        async with pool.acquire() as connection, connection.transaction():
            await hold(connection, cluster, holder, "spool")
            deleting = asyncio.create_task(ClusterStore(pool, Cluster).delete(cluster))
            for _ in range(6000):
                if await pool.fetch(waits, connection.get_server_pid()):
                    break
                await asyncio.sleep(0.01)
            else:
                pytest.fail("the cluster was deleted, or nobody tried to")
            await add_objects(connection, ClusterRef(cluster, "north"), Pod(id="late", name="late"))
        assert await deleting
        assert await pool.fetchval("SELECT count(*) FROM cluster_objects") == 0

    central(work)


def test_a_cluster_that_is_deleted_goes_with_all_that_it_has(central: Callable[[Work], None]) -> None:
    async def work(running: Watched) -> None:
        cluster = await running.cluster("north")
        async with sensor(running, cluster) as one:
            await one.ready()
            await one.upsert("deployment", "uid-web", deployment("web"))
            await one.kept()
            assert (await running.http.delete(f"/v1/clusters/{cluster}", auth=ADMIN)).status_code == 200
            with pytest.raises(RedoubtError, match="deleted"):
                await one.over()
        assert names(await running.get("/v1/deployments")) == []
        with pytest.raises(RedoubtError, match="deleted"):
            async with sensor(running, cluster) as one:
                await one.ready()
        left = await running.pool.fetchval("SELECT count(*) FROM sensor_spools")
        assert left == 0

    central(work)


def test_a_sensor_is_told_of_policies_and_settings_that_change(central: Callable[[Work], None]) -> None:
    async def work(running: Watched) -> None:
        cluster = await running.cluster("north")
        async with sensor(running, cluster) as one:
            await one.ready()
            off = default_policies()[0]
            answer = await running.http.patch(
                f"/v1/policies/{off.id}", json={"disabled": not off.disabled}, auth=ADMIN
            )
            assert answer.status_code == 200
            await one.until("policies came", lambda: len(one.of("policies")) == 2)
            told = {each["id"] for each in msgspec.json.decode(one.of("policies")[1].policies)}
            assert (off.id in told) is off.disabled
            record = (await running.get(f"/v1/clusters/{cluster}"))["cluster"]
            changed = {**record, "dynamicConfig": {"disableAuditLogs": True}}
            answer = await running.http.put(f"/v1/clusters/{cluster}", json=changed, auth=ADMIN)
            assert answer.status_code == 200, answer.text
            await one.until("the config came", lambda: len(one.of("config")) == 2)
            assert msgspec.json.decode(one.of("config")[1].config)["disableAuditLogs"] is True

    central(work)


def test_health_is_told_with_the_cluster(central: Callable[[Work], None]) -> None:
    async def work(running: Watched) -> None:
        cluster = await running.cluster("north")
        before = (await running.get(f"/v1/clusters/{cluster}"))["cluster"]
        assert before["status"] is None
        assert before["healthStatus"]["sensorHealthStatus"] == "UNINITIALIZED"
        async with sensor(running, cluster) as one:
            await one.ready()
            await one.healthy(
                collector=ServiceHealth(status="DEGRADED", desired=3, ready=2), dropped={"flows": 4}
            )
            await one.upsert("namespace", "uid-shop", {"name": "shop"})
            await one.kept()
            [found] = (await running.get("/v1/clusters", query="Cluster:nor"))["clusters"]
            assert found["status"]["sensorVersion"] == "4.9.0"
            assert found["status"]["certExpiryStatus"]["sensorCertExpiry"] > "2026"
            health = found["healthStatus"]
            assert (health["sensorHealthStatus"], health["overallHealthStatus"]) == ("HEALTHY", "DEGRADED")
            assert (health["connected"], health["dropped"]) == (True, {"flows": 4})
            assert health["collectorHealthInfo"]["totalReadyPods"] == 2
        await running.pool.execute("UPDATE sensor_sessions SET heard = now() - interval '4 minutes'")
        found = (await running.get(f"/v1/clusters/{cluster}"))["cluster"]["healthStatus"]
        assert found["overallHealthStatus"] == "UNHEALTHY"
        assert found["collectorHealthStatus"] == "UNAVAILABLE"

    central(work)


def test_a_request_is_answered_by_its_own_clusters_sensor_only(central: Callable[[Work], None]) -> None:
    async def work(running: Watched) -> None:
        north, south = await running.cluster("north"), await running.cluster("south")
        pusher = running.hub.pusher
        with pytest.raises(FailedPrecondition, match="not connected"):
            await pusher.request(UUID(north), pb.Request(reassess="x"), patience=1)
        async with (
            sensor(running, north, spool="north") as one,
            sensor(running, south, spool="south") as other,
        ):
            await one.ready()
            await other.ready()
            asked = asyncio.create_task(
                pusher.request(UUID(north), pb.Request(reassess="uid-web"), patience=PATIENCE)
            )
            await one.until("it was asked", lambda: bool(one.of("request")))
            request = one.of("request")[0]
            assert request.reassess == "uid-web"
            await other.send(kept=False, answer=pb.Answer(request_id=request.id, result=b"a lie"))
            await other.upsert("namespace", "x", {"name": "x"})
            await other.kept()
            assert not asked.done()
            await one.send(kept=False, answer=pb.Answer(request_id=request.id, result=b"done"))
            assert await asked == b"done"
            refused = asyncio.create_task(pusher.request(UUID(north), pb.Request(), patience=PATIENCE))
            await one.until("it was asked again", lambda: len(one.of("request")) == 2)
            await one.send(
                kept=False, answer=pb.Answer(request_id=one.of("request")[1].id, failure="no such thing")
            )
            with pytest.raises(FailedPrecondition, match="no such thing"):
                await refused
            with pytest.raises(Unavailable, match="did not answer"):
                await pusher.request(UUID(north), pb.Request(), patience=0.2)

    central(work)


HOSTILE: list[dict[str, Any]] = [
    {"object": pb.ObjectEvent(kind="deployment", id="a", action=pb.ObjectEvent.UPSERT, object=b"{")},
    {
        "object": pb.ObjectEvent(
            kind="deployment", id="a", action=pb.ObjectEvent.UPSERT, object=b'{"name": 7}'
        )
    },
    {
        "object": pb.ObjectEvent(
            kind="deployment", id="a", action=pb.ObjectEvent.UPSERT, object=b"[" * 100_000
        )
    },
    {"object": pb.ObjectEvent(kind="deployment", id="a", action=pb.ObjectEvent.UPSERT, object=b"\xff\xfe")},
    {"object": pb.ObjectEvent(kind="spaceship", id="a", action=pb.ObjectEvent.UPSERT, object=b"{}")},
    {"object": pb.ObjectEvent(kind="pod", id="", action=pb.ObjectEvent.UPSERT, object=b"{}")},
    {"object": pb.ObjectEvent(kind="pod", id="x" * 10_000, action=pb.ObjectEvent.UPSERT, object=b"{}")},
    {"object": pb.ObjectEvent(kind="pod", id="a\nb", action=pb.ObjectEvent.UPSERT, object=b"{}")},
    {"object": pb.ObjectEvent(kind="pod", id="a", object=b"{}")},
    {"health": pb.ClusterHealth(health=b"no JSON")},
    {"alerts": pb.AlertResults(stage=pb.AlertResults.DEPLOY, deployment_id="a", alerts=b"\x00")},
    {"records": pb.Records(kind=pb.Records.PROCESSES, records=b"\xc1")},
    {"pull_secrets": pb.PullSecrets(secrets=b"{}")},
    {"hello": pb.Hello()},
    {"answer": pb.Answer(request_id="x" * 100_000, failure="\x00", result=b"y")},
    {},
]


def test_hostile_messages_hold_nothing_up_and_are_counted(central: Callable[[Work], None]) -> None:
    async def work(running: Watched) -> None:
        cluster = await running.cluster("north")
        async with sensor(running, cluster) as one:
            await one.ready()
            for message in HOSTILE:
                await one.send(**message)
            await one.upsert("deployment", "uid-web", deployment("web"))
            await one.kept()
            await one.upsert(
                "deployment",
                "uid-odd",
                deployment(
                    "odd\u0000\u202e",
                    annotations={"a": "x" * 1_000_000},
                    labels={"\u0000": "\u0000", **{f"l{n}": "v" for n in range(2000)}},
                    containers=[{"name": str(n), "image": {"id": f"sha256:{n}"}} for n in range(10_000)],
                    created="0001-01-01T00:00:00+23:59",
                ),
            )
            await one.kept()
        await hung_up(running)
        assert "web" in names(await running.get("/v1/deployments"))
        health = (await running.get(f"/v1/clusters/{cluster}"))["cluster"]["healthStatus"]
        assert health["spoilt"] >= 10
        text = (await running.http.get("/metrics", auth=ADMIN)).text
        assert "rox_central_sensors_connected 0.0" in text
        assert 'rox_central_sensor_messages_total{kind="object"}' in text
        [spoilt] = re.findall(r"^rox_central_sensor_messages_spoilt_total (\S+)$", text, re.MULTILINE)
        assert float(spoilt) >= 10

    central(work)


@pytest.mark.parametrize(
    "statement",
    ["SELECT 1 / 0", "DO $$ BEGIN RAISE program_limit_exceeded; END $$"],
    ids=["a value", "a row of an index"],
)
def test_a_message_that_the_database_does_not_take_is_dropped_alone(
    central: Callable[[Work], None], statement: str
) -> None:
    class Broken:
        async def take(self, connection: Any, cluster: ClusterRef, message: pb.FromSensor) -> None:
            await connection.execute(statement)

    async def work(running: Watched) -> None:
        running.hub.intake.receivers["node"] = Broken()
        cluster = await running.cluster("north")
        async with sensor(running, cluster) as one:
            await one.ready()
            for number in range(20):
                await one.upsert("deployment", f"uid-{number}", deployment(f"web{number:02}"))
                await one.send(node=pb.NodeReport(node_name="x"))
            await one.kept()
        assert len(names(await running.get("/v1/deployments"))) == 20

    central(work)


def test_what_is_done_again_after_a_lost_answer_of_the_database_is_done_once(
    central: Callable[[Work], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[str] = []

    class Counting:
        async def take(self, connection: Any, cluster: ClusterRef, message: pb.FromSensor) -> None:
            taken.append(message.node.node_name)

    real, lost = Intake._transaction, []

    async def losing(self: Intake, link: Link, messages: Sequence[pb.FromSensor], **more: Any) -> Any:
        batch = await real(self, link, messages, **more)
        if (numbers := [each.number for each in messages if each.number]) and numbers[0] not in lost:
            lost.append(numbers[0])
            raise asyncpg.ConnectionDoesNotExistError("it was kept, and then the server was gone")
        return batch

    monkeypatch.setattr(Intake, "_transaction", losing)

    async def work(running: Watched) -> None:
        running.hub.intake.receivers["node"] = Counting()
        cluster = await running.cluster("north")
        async with sensor(running, cluster) as one:
            await one.ready()
            for number in range(5):
                await one.upsert("deployment", f"uid-{number}", deployment(f"web{number}"))
                await one.send(node=pb.NodeReport(node_name=str(number)))
            await one.kept()
            # What was not stored a second time was seen all the same.
            await one.synced()
            await one.upsert("deployment", "uid-5", deployment("web5"))
            await one.kept()
        assert lost
        assert taken == list("01234")
        assert names(await running.get("/v1/deployments")) == [f"web{number}" for number in range(6)]

    central(work)


def test_a_cluster_never_touches_what_another_one_has(central: Callable[[Work], None]) -> None:
    async def work(running: Watched) -> None:
        north, south = await running.cluster("north"), await running.cluster("south")
        async with (
            sensor(running, north, spool="n") as one,
            sensor(running, south, spool="s") as liar,
        ):
            await one.ready()
            await liar.ready()
            await one.upsert("deployment", "uid-web", deployment("web"))
            await one.kept()
            lie = deployment("lie", clusterId=north, clusterName="north")
            await liar.upsert("deployment", "uid-web", lie)
            await liar.remove("deployment", "uid-other")
            await liar.kept()
            assert (await running.get("/v1/deployments/uid-web"))["name"] == "web"
            await liar.remove("deployment", "uid-web")
            await liar.synced()
            await liar.upsert("namespace", "n", {"name": "n"})
            await liar.kept()
        assert names(await running.get("/v1/deployments")) == ["web"]

    central(work)


@pytest.mark.parametrize(
    "first",
    [
        pb.FromSensor(number=1, synced=pb.Synced()),
        pb.FromSensor(hello=pb.Hello()),
        pb.FromSensor(hello=pb.Hello(spool="x" * 1000)),
        pb.FromSensor(hello=pb.Hello(spool="x", identification=b"[")),
    ],
)
def test_who_does_not_say_hello_is_sent_away(central: Callable[[Work], None], first: pb.FromSensor) -> None:
    async def work(running: Watched) -> None:
        cluster = await running.cluster("north")
        async with sensor(running, cluster, hello=False) as one:
            await one.stream.send_message(first)
            with pytest.raises(RedoubtError):
                await one.over()

    central(work)


def test_callers_see_what_is_in_their_namespaces_only(central: Callable[[Work], None]) -> None:
    async def work(running: Watched) -> None:
        north, south = await running.cluster("north"), await running.cluster("south")
        for cluster in (north, south):
            async with sensor(running, cluster, spool=cluster) as one:
                await one.ready()
                await one.upsert("namespace", f"{cluster}-s", {"name": "shop", "labels": {"team": "red"}})
                await one.upsert("namespace", f"{cluster}-b", {"name": "bank", "labels": {"team": "blue"}})
                for name in ("shop", "bank"):
                    await one.upsert("deployment", f"{cluster}-{name}", deployment(f"{name}-web", name))
                await one.kept()
        for rules, expected in (
            ({"includedNamespaces": [{"clusterName": "north", "namespaceName": "shop"}]}, {(north, "shop")}),
            ({"includedClusters": ["south"]}, {(south, "shop"), (south, "bank")}),
            (
                {
                    "namespaceLabelSelectors": [
                        {"requirements": [{"key": "team", "op": "IN", "values": ["blue"]}]}
                    ]
                },
                {(north, "bank"), (south, "bank")},
            ),
        ):
            headers = await scoped(running, rules)
            listed = (await running.http.get("/v1/deployments", headers=headers)).json()["deployments"]
            assert {(each["clusterId"], each["namespace"]) for each in listed} == expected
            count = (await running.http.get("/v1/deploymentscount", headers=headers)).json()["count"]
            assert count == len(expected)
            exported = (await running.http.get("/v1/export/deployments", headers=headers)).text
            assert len(exported.splitlines()) == len(expected)
            for cluster in (north, south):
                for name in ("shop", "bank"):
                    answer = await running.http.get(f"/v1/deployments/{cluster}-{name}", headers=headers)
                    assert (answer.status_code == 200) is ((cluster, name) in expected)
            # Whole clusters only: who sees a namespace does not see its cluster.
            clusters = (await running.http.get("/v1/clusters", headers=headers)).json()["clusters"]
            assert [each["name"] for each in clusters] == (
                ["south"] if len(expected) == 2 and (south, "shop") in expected else []
            )

    central(work)


async def scoped(running: Watched, rules: dict[str, Any]) -> dict[str, str]:
    """The header of a token whose role holds in a scope of these rules."""
    name = f"scope {uuid4()}"
    made = await running.http.post("/v1/simpleaccessscopes", json={"name": name, "rules": rules}, auth=ADMIN)
    assert made.status_code == 200, made.text
    permissions = {"Deployment": "READ_ACCESS", "Cluster": "READ_ACCESS", "Node": "READ_ACCESS"}
    granted = await running.http.post(
        "/v1/permissionsets", json={"name": name, "resourceToAccess": permissions}, auth=ADMIN
    )
    role = {"permissionSetId": granted.json()["id"], "accessScopeId": made.json()["id"]}
    answer = await running.http.post(f"/v1/roles/{quote(name)}", json={"name": name, **role}, auth=ADMIN)
    assert answer.status_code == 200, answer.text
    return authorized(await running.token(name))


def test_a_push_from_another_replica_reaches_the_sensor(migrated: Migrated, tmp_path: Path) -> None:
    url = migrated("redoubt.central.migrations")

    async def work() -> None:
        certificates = Certificates(tmp_path / "certificates")
        async with (
            Watched(url, tmp_path / "one", certificates) as first,
            Watched(
                url,
                tmp_path / "two",
                certificates,
                secrets_key_file=tmp_path / "one" / "central" / "keys" / "secrets.keys",
            ) as second,
        ):
            cluster = await first.cluster("north")
            async with sensor(first, cluster) as one:
                await one.ready()
                second.hub.pusher.baselines(UUID(cluster), BaselineSync(removed_deployments=("uid-web",)))
                second.hub.pusher.images_changed(["sha256:0"])
                await one.until(
                    "both came", lambda: len(one.of("baselines")) == 2 and bool(one.of("images_changed"))
                )
                asked = asyncio.create_task(
                    second.hub.pusher.request(UUID(cluster), pb.Request(reassess=""), patience=PATIENCE)
                )
                await one.until("it was asked", lambda: bool(one.of("request")))
                await one.send(
                    kept=False, answer=pb.Answer(request_id=one.of("request")[0].id, result=b"yes")
                )
                assert await asked == b"yes"
                # The Sensor goes over to the other replica, and the first one knows that it has it no more.
                async with sensor(second, cluster, reconnect=True) as moved:
                    await moved.ready()
                    await moved.upsert("deployment", "uid-web", deployment("web"))
                    await moved.kept()
                    with pytest.raises(RedoubtError, match="connected again"):
                        await one.over()

    run(work(), 240)


def test_a_central_that_stops_lets_its_sensors_go_at_once(central: Callable[[Work], None]) -> None:
    async def work(running: Watched) -> None:
        cluster = await running.cluster("north")
        async with sensor(running, cluster) as one:
            await one.ready()
            await one.upsert("deployment", "uid-web", deployment("web"))
            await one.kept()
            await running.hub.leave()
            with pytest.raises(Away, match="stopping"):
                await one.over()
        assert not await running.hub.store.connected(UUID(cluster))

    central(work)


def test_a_sensor_that_is_told_more_than_it_reads_is_disconnected(central: Callable[[Work], None]) -> None:
    async def work(running: Watched) -> None:
        cluster = await running.cluster("north")
        async with sensor(running, cluster) as one:
            await one.ready()
            for number in range(40):
                # All at once, before a single one is sent.
                running.hub.pusher.tell(
                    UUID(cluster), pb.ToSensor(request=pb.Request(id=str(number), enhance=b"x" * 1_000_000))
                )
            with pytest.raises(RedoubtError, match="does not read"):
                await one.over()
        async with sensor(running, cluster, reconnect=True) as one:
            await one.ready()

    central(work)


def test_who_sends_more_than_is_kept_waits() -> None:
    async def work() -> None:
        inbox = Inbox()
        message = pb.FromSensor(object=pb.ObjectEvent(object=b"x" * 1_000_000))

        async def send() -> None:
            for _ in range(40):
                await inbox.put(message)
            await inbox.close()

        sending = asyncio.create_task(send())
        await asyncio.sleep(0.05)
        assert not sending.done()
        sizes = []
        while batch := await inbox.take():
            sizes.append(len(batch))
        assert sum(sizes) == 40
        assert max(sizes) <= 9
        # One that is larger than all that may wait is taken alone.
        alone = Inbox()
        await alone.put(pb.FromSensor(object=pb.ObjectEvent(object=b"x" * 20_000_000)))
        assert len(await alone.take()) == 1

    run(work())
