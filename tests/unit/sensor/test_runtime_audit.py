"""The API server's audit log: what is read of it, what policies say, and the webhook that it is sent to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from grpclib.exceptions import GRPCError

from redoubt.errors import NetworkError
from redoubt.model.happening import KubernetesEvent
from redoubt.policies.alerts import Alert
from redoubt.sensor.runtime.audit import Auditing, Heard, Unreadable, items, read
from redoubt.sensor.serving.audit import AuditWebhook
from redoubt.sensor.serving.nodes import audit
from redoubt.sensor.serving.positions import Positions
from redoubt.wire.channel import channel
from redoubt.wire.identity import Service
from redoubt.wire.proto.redoubt.v1.secured_grpc import NodesStub
from redoubt.wire.proto.redoubt.v1.secured_pb2 import AuditLines, AuditTaken
from redoubt.wire.proto.redoubt.v1.sensors_pb2 import FromSensor
from support.policies import group, policy
from support.runtime import Sent, Store, sensor
from support.wire import Certificates, run

CLUSTER = "11111111-2222-4333-8444-555555555555"


def event(**more: Any) -> dict[str, Any]:
    return {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": "Metadata",
        "auditID": "a-1",
        "stage": "ResponseComplete",
        "requestURI": "/api/v1/namespaces/shop/secrets/central-htpasswd",
        "verb": "get",
        "user": {"username": "mallory", "groups": ["system:authenticated"]},
        "sourceIPs": ["192.0.2.7"],
        "userAgent": "kubectl/v1.99",
        "objectRef": {"resource": "secrets", "namespace": "shop", "name": "till-key", "apiVersion": "v1"},
        "responseStatus": {"code": 200},
        "requestReceivedTimestamp": "2099-01-01T00:00:00.000000Z",
        "stageTimestamp": "2099-01-01T00:00:01.500000Z",
        "annotations": {"authorization.k8s.io/decision": "allow"},
    } | more


def data(**more: Any) -> bytes:
    return json.dumps(event(**more)).encode()


SECRETS = policy(
    [group("Kubernetes Resource", "SECRETS"), group("Kubernetes API Verb", "GET")],
    id="secrets",
    name="Secrets are read",
    lifecycle_stages=("RUNTIME",),
    event_source="AUDIT_LOG_EVENT",
)


def test_a_request_to_a_secret_is_an_event() -> None:
    told = read(data(), CLUSTER)
    assert told is not None
    assert told.object is not None
    assert told.user is not None
    assert told.timestamp is not None
    assert (told.object.resource, told.object.namespace, told.object.name) == ("SECRETS", "shop", "till-key")
    assert (told.api_verb, told.user.username, told.source_ips) == ("GET", "mallory", ("192.0.2.7",))
    assert told.timestamp.isoformat() == "2099-01-01T00:00:01.500000+00:00"
    assert told.impersonated_user is None


def test_who_was_impersonated_is_told() -> None:
    told = read(data(impersonatedUser={"username": "alice", "groups": ["shop"]}), CLUSTER)
    assert told is not None
    assert told.impersonated_user is not None
    assert (told.impersonated_user.username, told.impersonated_user.groups) == ("alice", ("shop",))


@pytest.mark.parametrize(
    ("group_", "resource", "expected"),
    [
        ("rbac.authorization.k8s.io", "clusterroles", "CLUSTER_ROLES"),
        ("rbac.authorization.k8s.io", "clusterrolebindings", "CLUSTER_ROLE_BINDINGS"),
        ("networking.k8s.io", "networkpolicies", "NETWORK_POLICIES"),
        ("security.openshift.io", "securitycontextconstraints", "SECURITY_CONTEXT_CONSTRAINTS"),
        ("k8s.ovn.org", "egressfirewalls", "EGRESS_FIREWALLS"),
        ("", "configmaps", "CONFIGMAPS"),
    ],
)
def test_other_resources_are_told_by_their_names(group_: str, resource: str, expected: str) -> None:
    told = read(data(verb="deletecollection", objectRef={"resource": resource, "apiGroup": group_}), CLUSTER)
    assert told is not None
    assert told.object is not None
    assert (told.object.resource, told.api_verb) == (expected, "DELETE")


@pytest.mark.parametrize(
    "more",
    [
        {"stage": "RequestReceived"},
        {"stage": "ResponseStarted"},
        {"objectRef": {"resource": "pods", "subresource": "exec"}},
        {"objectRef": {"resource": "secrets", "apiGroup": "example.org"}},
        {"objectRef": None},
        {"verb": "bind"},
    ],
)
def test_what_no_policy_looks_at_is_no_event(more: dict[str, Any]) -> None:
    assert read(data(**more), CLUSTER) is None


@pytest.mark.parametrize(
    "given", [b"", b"{", b"[]", b"\xff", b'{"verb": 1}', b"null", b"[" * 100_000, b'{"objectRef": []}']
)
def test_what_is_no_event_is_refused(given: bytes) -> None:
    with pytest.raises(Unreadable):
        read(given, CLUSTER)


def test_an_event_that_comes_twice_breaks_a_policy_once() -> None:
    auditing = Auditing(Store([SECRETS]))
    heard = auditing.take([data(), data(), b"nonsense", data(auditID="a-2", verb="update")])
    assert heard.spoilt == 1
    (alert,) = heard.alerts
    assert (alert.entity_type, alert.lifecycle_stage, alert.namespace) == ("RESOURCE", "RUNTIME", "shop")
    assert alert.deployment is None
    assert alert.resource is not None
    assert (alert.resource.resource_type, alert.resource.name) == ("SECRETS", "till-key")
    (violation,) = alert.violations
    attributes = {each.key: each.value for each in violation.key_value_attrs.attrs}
    assert attributes["username"] == "mallory"
    assert auditing.take([data()]) == Heard()


@pytest.mark.parametrize("why", [NetworkError, asyncio.CancelledError])
def test_events_that_nobody_could_be_told_of_are_new_when_they_come_again(why: type[BaseException]) -> None:
    class Partly(Sent):
        async def put(self, *messages: FromSensor) -> None:
            if not self.messages:
                self.messages.append(messages[0])
                raise why("in the midst of it")
            await super().put(*messages)

    auditing, sent = Auditing(Store([SECRETS])), Partly()
    events = [data(auditID=f"a-{each}") for each in range(3)]
    with pytest.raises(why):
        asyncio.run(audit(auditing, sent, events))
    asyncio.run(audit(auditing, sent, events))
    first, *again = [each.id for each in sent.alerts]
    assert len(again) == len(set(again)) == 3
    assert first == again[0]
    asyncio.run(audit(auditing, sent, events))
    assert len(sent.alerts) == 4


def test_texts_of_strangers_are_shown_harmlessly() -> None:
    auditing = Auditing(Store([SECRETS]))
    alerts = auditing.take([data(userAgent="a\x1b[2Jb", user={"username": "x\ny", "groups": []})]).alerts
    said = json.dumps([each.value for each in alerts[0].violations[0].key_value_attrs.attrs])
    assert "\\u001b" not in said
    assert "\\n" not in said.replace("\\\\n", "")


def test_where_it_is_off_nothing_is_looked_at() -> None:
    auditing = Auditing(Store([SECRETS]))
    auditing.enabled = False
    assert auditing.take([data(), b"nonsense"]) == Heard()


def test_a_list_of_events_is_taken_apart() -> None:
    assert len(items(json.dumps({"kind": "EventList", "items": [event(), event()]}).encode())) == 2
    with pytest.raises(Unreadable):
        items(b"[]")


def posted(
    body: bytes, *, token: str = "right", path: str = "/audit", method: str = "POST"
) -> tuple[int, Sent]:
    sent = Sent()
    webhook = AuditWebhook(Auditing(Store([SECRETS])), sent, "right")
    answers: list[dict[str, Any]] = []
    parts = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> dict[str, Any]:
        return parts.pop(0)

    async def send(message: dict[str, Any]) -> None:
        answers.append(message)

    headers = [(b"authorization", f"Bearer {token}".encode())]
    scope = {"type": "http", "path": path, "method": method, "headers": headers}
    asyncio.run(webhook(scope, receive, send))
    return answers[0]["status"], sent


def test_the_webhook_takes_events_from_who_knows_the_token() -> None:
    body = json.dumps({"kind": "EventList", "items": [event(), {"verb": 1}]}).encode()
    status, sent = posted(body)
    assert status == 200
    assert [each.policy.name for each in sent.alerts] == ["Secrets are read"]
    assert sent.messages[0].alerts.deployment_id == ""


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"token": "wrong"}, 401),
        ({"token": "right "}, 401),
        ({"path": "/other"}, 404),
        ({"method": "GET"}, 405),
    ],
)
def test_the_webhook_refuses_others(more: dict[str, str], expected: int) -> None:
    status, sent = posted(b'{"items": []}', **more)
    assert (status, sent.messages) == (expected, [])


def test_the_webhook_says_what_it_cannot_read() -> None:
    assert posted(b"nonsense")[0] == 400
    assert posted(b" " * ((16 << 20) + 1))[0] == 413


def asked_of(work: Callable[[NodesStub, Auditing, Sent], Awaitable[None]], folder: Path) -> None:
    async def running() -> None:
        certificates = Certificates(folder / "tls")
        async with sensor(Store([SECRETS]), certificates.material(Service.SENSOR)) as serving:
            line = channel(
                f"127.0.0.1:{serving.port}", certificates.material(Service.COLLECTOR), [Service.SENSOR]
            )
            try:
                await work(NodesStub(line), serving.auditing, serving.sent)
            finally:
                line.close()

    run(running(), 20)


def test_where_a_node_was_is_told_back_to_it(tmp_path: Path) -> None:
    async def work(nodes: NodesStub, auditing: Auditing, sent: Sent) -> None:
        assert await nodes.ReportAudit(AuditLines(node_name="one")) == AuditTaken()
        told = await nodes.ReportAudit(AuditLines(node_name="one", lines=[data()], position=b"here"))
        assert told == AuditTaken(lines=1)
        assert await nodes.ReportAudit(AuditLines(node_name="two", position=b"there")) == AuditTaken()
        assert await nodes.ReportAudit(AuditLines(node_name="one")) == AuditTaken(position=b"here")
        for spoilt in (AuditLines(node_name="n" * 300), AuditLines(node_name="one", position=b"x" * 1025)):
            with pytest.raises(GRPCError):
                await nodes.ReportAudit(spoilt)

    asked_of(work, tmp_path)


def test_what_is_switched_off_is_not_taken_and_wanted_when_it_is_on_again(tmp_path: Path) -> None:
    async def work(nodes: NodesStub, auditing: Auditing, sent: Sent) -> None:
        await nodes.ReportAudit(AuditLines(node_name="one", lines=[data()], position=b"1"))
        auditing.enabled = False
        more = AuditLines(node_name="one", lines=[data(auditID="a-2")], position=b"2")
        assert await nodes.ReportAudit(more) == AuditTaken(disabled=True)
        assert await nodes.ReportAudit(AuditLines(node_name="one")) == AuditTaken(disabled=True)
        assert len(sent.alerts) == 1
        auditing.enabled = True
        assert (await nodes.ReportAudit(AuditLines(node_name="one"))).position == b"1"
        assert await nodes.ReportAudit(more) == AuditTaken(lines=1)
        assert len(sent.alerts) == 2

    asked_of(work, tmp_path)


def test_positions_outlive_the_sensor_and_damage(tmp_path: Path) -> None:
    file = tmp_path / "positions.json"

    async def work() -> None:
        kept = Positions(file)
        kept.load()
        await asyncio.gather(*(kept.put(f"n-{each}", b"%d" % each) for each in range(20)))
        again = Positions(file)
        again.load()
        assert [again.get(f"n-{each}") for each in (0, 19, 20)] == [b"0", b"19", b""]
        file.write_bytes(b'{"n-1": 7}')
        again = Positions(file)
        again.load()
        assert again.get("n-1") == b""

    asyncio.run(work())


def test_an_event_that_cannot_be_judged_is_counted_and_those_after_it_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    auditing = Auditing(Store([SECRETS]))
    judged = auditing._judged

    def odd(event: KubernetesEvent) -> list[Alert]:
        if event.id == "a-2":
            raise ValueError("odd")
        return judged(event)

    monkeypatch.setattr(auditing, "_judged", odd)
    heard = auditing.take(data(auditID=f"a-{each}") for each in range(1, 4))
    assert (len(heard.alerts), heard.spoilt, heard.fresh) == (2, 1, ["a-1", "a-2", "a-3"])
