"""Reviews judged, without an API server: what is asked, of what, and what becomes of what cannot be."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from redoubt.admission import reviews, rules
from redoubt.admission.events import EventJudge
from redoubt.admission.figures import Figures
from redoubt.admission.images import Images
from redoubt.admission.judging import Judge, Spared
from redoubt.admission.reviews import Answer
from redoubt.admission.rules import Rules
from redoubt.errors import RedoubtError
from redoubt.model.scannedimage import ImageScan, ScannedComponent, ScannedFlaw, ScannedImage
from redoubt.policies.alerts import Alert
from redoubt.policies.policy import Policy
from redoubt.wire.failures import NotFound, Unavailable
from support.admission import CLUSTER, default, encoded, review, settings
from support.policies import group, policy

LATEST, UNSCANNED, FIXABLE = (
    default("Latest tag"),
    default("Images with no scans"),
    default("Fixable Severity at least Important"),
)
EXEC = "Kubernetes Actions: Exec into Pod"


class Asked:
    """A judge, and all around it. ``images`` by name; ``away``: nobody can be asked; ``slow``: seconds an answer takes."""

    def __init__(
        self, *policies: Policy, spared: Sequence[str] = ("kube-system", "own"), **more: Any
    ) -> None:
        self.images: dict[str, ScannedImage] = {}
        self.away = False
        self.slow = 0.0
        self.asked: list[tuple[str, bool, str]] = []
        self.alerts: list[Alert] = []
        self.objects: dict[str, dict[str, Any]] = {}
        self.rules = rules.read(settings(1, *policies, **more))
        self.figures = Figures("here", CollectorRegistry())
        self._spared = Spared(spared)

    async def image(self, name: str, *, cached: bool, namespace: str) -> bytes:
        self.asked.append((name, cached, namespace))
        await asyncio.sleep(self.slow)
        if self.away:
            raise Unavailable("nobody is there")
        if name not in self.images:
            raise NotFound("no such image")
        return msgspec.json.encode(self.images[name])

    def tell(self, alerts: Sequence[Alert]) -> None:
        self.alerts += alerts

    async def scaled(self, group: str, resource: str, namespace: str, name: str) -> dict[str, Any]:
        return self._object(f"{resource}/{namespace}/{name}")

    async def of_pod(self, namespace: str, name: str) -> dict[str, Any]:
        return self._object(f"pods/{namespace}/{name}")

    def _object(self, where: str) -> dict[str, Any]:
        if where not in self.objects:
            raise RedoubtError(f"{where}: not found")
        return self.objects[where]

    def of(self, *asked: dict[str, Any], within: float = 5.0, other: Rules | None = None) -> list[Answer]:
        """The answers to reviews, one after the other."""

        async def work() -> list[Answer]:
            images = Images(self, lifetime=60, memory=1 << 20, simultaneous=4)
            judge = Judge(images, self.figures, self, self._spared, self)
            events = EventJudge(images, self.figures, self, self._spared, self)
            found = []
            for each in asked:
                body = encoded(each)
                if each["request"]["operation"] == "CONNECT":
                    found.append(await events.event(reviews.read_event(body), other or self.rules, within))
                else:
                    found.append(await judge.workload(reviews.look(body), other or self.rules, within))
            await images.close()
            return found

        return asyncio.run(asyncio.wait_for(work(), 30))


def workload(*images: str, kind: str = "Deployment", **more: Any) -> dict[str, Any]:
    pod = {
        "containers": [{"name": f"c{at}", "image": image} for at, image in enumerate(images)],
        **more.pop("pod", {}),
    }
    spec = pod if kind == "Pod" else {"template": {"spec": pod}, "replicas": 1}
    if kind == "CronJob":
        spec = {"jobTemplate": {"spec": {"template": {"spec": pod}}}}
    version = {"Pod": "v1", "CronJob": "batch/v1beta1", "Job": "batch/v1", "ReplicationController": "v1"}
    meta = {"name": "shop", "namespace": "shop", "uid": "uid-1", **more}
    return {"apiVersion": version.get(kind, "apps/v1"), "kind": kind, "metadata": meta, "spec": spec}


def flawed() -> ScannedImage:
    flaw = ScannedFlaw(
        cve="CVE-2099-0001", severity="CRITICAL_VULNERABILITY_SEVERITY", cvss=9.8, fixed_by="2"
    )
    return ScannedImage(
        id="sha256:" + "b" * 64,
        scan=ImageScan(components=(ScannedComponent(name="lib", version="1", vulns=(flaw,)),)),
    )


@pytest.mark.parametrize(
    "kind",
    [
        "Pod",
        "Deployment",
        "ReplicaSet",
        "ReplicationController",
        "StatefulSet",
        "DaemonSet",
        "Job",
        "CronJob",
    ],
)
def test_every_kind_of_workload_is_judged(kind: str) -> None:
    asked = Asked(LATEST)
    bad, good = asked.of(review(workload("shop:latest", kind=kind)), review(workload("shop:1", kind=kind)))
    assert (bad.allowed, good.allowed) == (False, True)
    assert f"This {kind} violates 1 enforced policy" in bad.message
    (alert,) = asked.alerts
    assert alert.deployment is not None
    assert (alert.cluster_id, alert.namespace, alert.deployment.id) == (CLUSTER, "shop", "uid-1")
    assert (asked.figures.of("denied"), asked.figures.of("allowed")) == (1, 1)


def test_ephemeral_containers_are_judged() -> None:
    pod = {"ephemeralContainers": [{"name": "debug", "image": "tools"}]}
    (answer,) = Asked(LATEST).of(review(workload("shop:1", kind="Pod", pod=pod)))
    assert "Container 'debug'" in answer.message


def test_containers_that_are_put_into_a_running_pod_are_judged_by_themselves() -> None:
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "shop", "uid": "1", "controller": True}

    def with_debug(*images: str) -> dict[str, Any]:
        added = [{"name": f"debug-{at}", "image": image} for at, image in enumerate(images)]
        pod = {"ephemeralContainers": added}
        return workload("shop:latest", kind="Pod", pod=pod, ownerReferences=[owner])

    def change(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
        return review(after, oldObject=before, operation="UPDATE", subResource="ephemeralcontainers")

    asked = Asked(LATEST, default("Required Annotation: Email"))
    bad, good, none, second = asked.of(
        change(with_debug(), with_debug("tools:latest")),
        change(with_debug(), with_debug("tools:1")),
        change(with_debug("tools:latest"), with_debug("tools:latest")),
        change(with_debug("tools:1"), with_debug("tools:1", "tools")),
    )
    assert [answer.allowed for answer in (bad, good, none, second)] == [False, True, True, False]
    assert "Container 'debug-0'" in bad.message
    assert "Container 'debug-1'" in second.message
    # Before 1.22 these had a kind of their own, without a pod.
    old = {"apiVersion": "v1", "kind": "EphemeralContainers", "metadata": {"name": "x"}}
    assert asked.of(change(old, old))[0].allowed


def test_a_pod_that_is_resized_is_judged() -> None:
    def of(limit: str) -> dict[str, Any]:
        limits = {"name": "main", "image": "shop:1", "resources": {"limits": {"memory": limit}}}
        return workload("shop:1", kind="Pod", pod={"containers": [limits]})

    most = policy(
        [group("Container Memory Limit", ">= 1000")],
        enforcement_actions=("FAIL_DEPLOYMENT_UPDATE_ENFORCEMENT",),
    )
    change = review(of("4Gi"), oldObject=of("64Mi"), operation="UPDATE", subResource="resize")
    assert not Asked(most).of(change)[0].allowed
    assert (
        Asked(most)
        .of(review(of("32Mi"), oldObject=of("64Mi"), operation="UPDATE", subResource="resize"))[0]
        .allowed
    )


def test_only_what_is_enforced_refuses() -> None:
    for action in ("FAIL_BUILD_ENFORCEMENT", "KILL_POD_ENFORCEMENT"):
        assert Asked(default("Latest tag", action)).of(review(workload("shop")))[0].allowed
    create = default("Latest tag", "FAIL_DEPLOYMENT_CREATE_ENFORCEMENT")
    update = default("Latest tag", "FAIL_DEPLOYMENT_UPDATE_ENFORCEMENT")
    created, updated = review(workload("shop")), review(workload("shop"), operation="UPDATE")
    assert [answer.allowed for answer in Asked(create).of(created, updated)] == [False, True]
    assert [answer.allowed for answer in Asked(update).of(created, updated)] == [True, False]


@pytest.mark.parametrize(
    ("change", "more"),
    [
        ({"namespace": "kube-system"}, {}),
        ({"namespace": "own"}, {}),
        ({"namespace": "openshift-dns"}, {}),
        ({"userInfo": {"username": "system:serviceaccount:kube-system:replicaset-controller"}}, {}),
        ({"userInfo": {"username": "system:serviceaccount:own:sensor"}}, {}),
        ({"userInfo": {"username": "system:kube-controller-manager"}}, {}),
        ({"userInfo": {"username": "system:node:n1"}}, {}),
        ({"subResource": "status"}, {}),
        ({"operation": "DELETE"}, {}),
        ({}, {"enabled": False}),
        ({}, {"enforce_on_creates": False}),
        ({"operation": "UPDATE"}, {"enforce_on_updates": False}),
    ],
)
def test_what_is_not_judged(change: dict[str, Any], more: dict[str, Any]) -> None:
    asked = Asked(LATEST, spared=("kube-system", "own", "openshift-*"), **more)
    assert asked.of(review(workload("shop:latest"), **change))[0].allowed
    assert asked.figures.of("spared") == 1


@pytest.mark.parametrize(
    "user", ["system:serviceaccount:shop:ci", "system:serviceaccount:kube-systems:x", "system:masters"]
)
def test_other_accounts_are_judged(user: str) -> None:
    assert not Asked(LATEST).of(review(workload("shop:latest"), userInfo={"username": user}))[0].allowed


def test_who_only_says_that_somebody_owns_it_is_judged_all_the_same() -> None:
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "made-up", "uid": "1", "controller": True}
    owned, free = (
        workload("shop:latest", kind="Pod", ownerReferences=[owner]),
        workload("shop:latest", kind="Pod"),
    )
    asked = Asked(LATEST)
    assert not asked.of(review(owned))[0].allowed
    # What was a controller's before is looked at where its owner is.
    assert asked.of(review(owned, operation="UPDATE", oldObject=owned))[0].allowed
    assert not asked.of(review(owned, operation="UPDATE", oldObject=free))[0].allowed


def test_a_change_of_what_somebody_owns_is_judged_where_its_spec_is_another() -> None:
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "made-up", "uid": "1", "controller": True}
    for kind in ("Deployment", "Pod"):
        clean, bad, labelled = (
            workload("shop:1", kind=kind, ownerReferences=[owner]),
            workload("shop:latest", kind=kind, ownerReferences=[owner]),
            workload("shop:latest", kind=kind, ownerReferences=[owner], labels={"seen": "yes"}),
        )
        asked = Asked(LATEST)
        assert asked.of(review(clean))[0].allowed
        assert not asked.of(review(bad, operation="UPDATE", oldObject=clean))[0].allowed
        assert asked.of(review(labelled, operation="UPDATE", oldObject=bad))[0].allowed
        assert asked.of(review(clean, operation="UPDATE", oldObject=bad))[0].allowed


def test_break_glass_counts_with_content_only_and_unless_disabled() -> None:
    def with_glass(content: str) -> dict[str, Any]:
        return review(workload("shop:latest", annotations={"admission.stackrox.io/break-glass": content}))

    asked = Asked(LATEST)
    empty, given = asked.of(with_glass(""), with_glass("ticket-1"))
    assert (empty.allowed, given.allowed) == (False, True)
    assert (given.note, asked.figures.of("bypassed"), len(asked.alerts)) == ("break-glass", 1, 1)
    assert not Asked(LATEST, disable_bypass=True).of(with_glass("ticket-1"))[0].allowed


def test_a_dry_run_gives_no_alert() -> None:
    asked = Asked(LATEST)
    assert not asked.of(review(workload("shop:latest"), dryRun=True))[0].allowed
    assert asked.alerts == []


def test_scopes_go_by_namespace_its_labels_and_the_cluster() -> None:
    scope = {"scope": (policies_scope(namespace="shop"),)}
    here, there = review(workload("shop")), review(workload("shop"), namespace="elsewhere")
    assert [a.allowed for a in Asked(default("Latest tag", **scope)).of(here, there)] == [False, True]
    scope = {"scope": (policies_scope(namespace_label=("team", "blue")),)}
    labelled = Asked(default("Latest tag", **scope), namespace_labels={"elsewhere": {"team": "blue"}})
    assert [a.allowed for a in labelled.of(here, there)] == [True, False]
    scope = {"scope": (policies_scope(cluster="another"),)}
    assert Asked(default("Latest tag", **scope)).of(here)[0].allowed


def policies_scope(namespace_label: tuple[str, str] | None = None, **more: str) -> Any:
    from redoubt.policies.policy import Scope, ScopeLabel

    label = None if namespace_label is None else ScopeLabel(key=namespace_label[0], value=namespace_label[1])
    return Scope(namespace_label=label, **more)


def test_descriptions_are_asked_first_and_images_only_where_they_are_in_order() -> None:
    asked = Asked(LATEST, FIXABLE)
    asked.images["docker.io/library/shop:1"] = flawed()
    bad, worse = asked.of(review(workload("shop:latest")), review(workload("shop:1")))
    assert "1 more hang on what is in the images" in bad.message
    assert "Fixable Severity" in worse.message
    assert "CVE-2099-0001" in worse.message
    assert asked.asked == [("docker.io/library/shop:1", False, "shop")]


def test_an_image_is_asked_for_once_for_several_containers_and_reviews() -> None:
    asked = Asked(FIXABLE)
    asked.images["docker.io/library/shop:1"] = ScannedImage(id="sha256:" + "a" * 64, scan=ImageScan())
    answers = asked.of(review(workload("shop:1", "shop:1")), review(workload("shop:1")))
    assert [answer.allowed for answer in answers] == [True, True]
    assert len(asked.asked) == 1


def test_unscanned_is_what_is_known_not_to_be_scanned() -> None:
    asked = Asked(UNSCANNED)
    asked.images["docker.io/library/scanned:1"] = ScannedImage(scan=ImageScan())
    unknown, scanned = asked.of(review(workload("shop:1")), review(workload("scanned:1")))
    assert (unknown.allowed, scanned.allowed) == (False, True)


@pytest.mark.parametrize(("setting", "allowed"), [("ALLOW", True), ("DENY", False)])
def test_images_that_are_not_known_in_time_follow_the_setting_and_are_counted(
    setting: str, allowed: bool
) -> None:
    for away, slow in ((True, 0.0), (False, 5.0)):
        asked = Asked(UNSCANNED, FIXABLE, at_deadline=setting)
        asked.away, asked.slow = away, slow
        (answer,) = asked.of(review(workload("shop:1")), within=0.2)
        assert answer.allowed is allowed
        assert "not known in time" in answer.message
        assert (asked.figures.of("deadline"), asked.alerts) == (1, [])


def test_what_one_known_image_breaks_is_broken_whatever_the_others_say() -> None:
    asked = Asked(FIXABLE)
    asked.images["docker.io/library/bad:1"] = flawed()

    async def image(name: str, *, cached: bool, namespace: str) -> bytes:
        if name.startswith("docker.io/library/slow"):
            await asyncio.sleep(20)
        return msgspec.json.encode(asked.images["docker.io/library/bad:1"])

    asked.image = image  # type: ignore[method-assign]
    (answer,) = asked.of(review(workload("bad:1", "slow:1")), within=0.3)
    assert not answer.allowed
    assert "Fixable Severity" in answer.message


def test_scans_are_begun_only_where_that_is_wanted_and_images_are_new() -> None:
    asked = Asked(FIXABLE, scan_inline=False)
    asked.of(review(workload("shop:1")))
    assert asked.asked[0][1] is True
    asked = Asked(FIXABLE)
    old = workload("shop:1")
    asked.of(review(old, operation="UPDATE", oldObject=old))
    asked.of(review(workload("shop:2"), operation="UPDATE", oldObject=old))
    assert [cached for _, cached, _ in asked.asked] == [True, False]


def test_a_scale_is_judged_by_the_workload_that_it_is_of() -> None:
    three = policy(
        [group("Replicas", ">= 3")], name="Three", enforcement_actions=("SCALE_TO_ZERO_ENFORCEMENT",)
    )
    asked = Asked(three)
    asked.objects["deployments/shop/shop"] = workload("shop:1")

    def scale(before: int, after: int) -> dict[str, Any]:
        def of(count: int) -> dict[str, Any]:
            return {
                "apiVersion": "autoscaling/v1",
                "kind": "Scale",
                "metadata": {"name": "shop"},
                "spec": {"replicas": count},
            }

        return review(
            of(after),
            oldObject=of(before),
            operation="UPDATE",
            subResource="scale",
            namespace="shop",
            resource={"group": "apps", "version": "v1", "resource": "deployments"},
        )

    up, down, little = asked.of(scale(1, 3), scale(5, 3), scale(1, 2))
    assert (up.allowed, down.allowed, little.allowed) == (False, True, True)
    # Anybody may write down an owner; Kubernetes' own controllers, which scale what others own, are not asked about.
    owner = {"kind": "ReplicaSet", "name": "x", "uid": "y", "controller": True, "apiVersion": "apps/v1"}
    asked.objects["deployments/shop/shop"]["metadata"]["ownerReferences"] = [owner]
    assert not asked.of(scale(1, 3))[0].allowed
    del asked.objects["deployments/shop/shop"]
    assert asked.of(scale(1, 3))[0].note == "not judged"


@pytest.mark.parametrize(("closed", "allowed"), [(False, True), (True, False)])
@pytest.mark.parametrize(
    "change",
    [
        {"object": None},
        {"object": {"apiVersion": "v1", "kind": "Service", "metadata": {}}},
        {
            "object": {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "spec": {"template": {"spec": {"containers": 5}}},
            }
        },
        {"object": {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"annotations": {"a": 1}}}},
    ],
)
def test_what_cannot_be_judged_follows_the_setting_and_says_so(
    change: Any, closed: bool, allowed: bool
) -> None:
    asked = Asked(LATEST, fail_closed=closed)
    (answer,) = asked.of(review(workload("shop:1"), **change))
    assert answer.allowed is allowed
    assert "could not judge" in answer.message
    assert asked.figures.of("failed") == 1


def test_what_is_no_matter_of_ours_is_let_through() -> None:
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": {"ports": 5}}
    asked = Asked(LATEST, fail_closed=True)
    assert asked.of(review(service))[0].allowed
    assert asked.figures.of("spared") == 1


def test_huge_and_odd_workloads_are_judged() -> None:
    asked = Asked(LATEST, FIXABLE)
    many = workload(*["shop:1"] * 9_999, "bad:latest")
    long = workload("shop:latest", annotations={"a": "x" * 1_000_000})
    odd = workload(
        "shop:latest", labels={"\u202e\x1b[31m": "\x00\ud7ff"}, annotations={"\n": "\U0001f4a5" * 500}
    )
    answers = asked.of(review(many), review(long), review(odd, name="\x1b]0;x\x07"))
    assert [answer.allowed for answer in answers] == [False] * 3
    for answer in answers:
        assert "\x1b" not in answer.message
    for alert in asked.alerts:
        assert len(msgspec.json.encode(alert)) < 100_000


def test_what_is_in_order_is_remembered_until_anything_of_it_changes() -> None:
    asked = Asked(LATEST, default("Required Label: Owner/Team"))
    good = workload("shop:1", labels={"owner": "blue"})
    same = workload("shop:1", labels={"owner": "blue"}, uid="uid-2", resourceVersion="7")
    others = [
        workload("shop:latest", labels={"owner": "blue"}),
        workload("shop:1", labels={}),
    ]
    answers = asked.of(*(review(each) for each in (good, same, *others)))
    assert [answer.allowed for answer in answers] == [True, True, False, False]
    assert asked.rules.seen.size > 0
    stricter = rules.read(
        settings(2, LATEST, default("Required Label: Owner/Team"), default("Required Annotation: Email"))
    )
    assert not asked.of(review(good), other=stricter)[0].allowed


def test_what_is_in_order_is_asked_about_again_when_its_images_are_others() -> None:
    asked = Asked(FIXABLE)
    asked.images["docker.io/library/shop:1"] = ScannedImage(id="sha256:" + "a" * 64, scan=ImageScan())

    async def work() -> list[bool]:
        images = Images(asked, lifetime=60, memory=1 << 20, simultaneous=4)
        judge = Judge(images, asked.figures, asked, Spared([]), asked)
        request = reviews.look(encoded(review(workload("shop:1"))))
        found = [(await judge.workload(request, asked.rules, 5)).allowed for _ in range(3)]
        images.forget()
        asked.images["docker.io/library/shop:1"] = flawed()
        return [*found, (await judge.workload(request, asked.rules, 5)).allowed]

    assert asyncio.run(work()) == [True, True, True, False]
    assert asked.alerts[0].deployment is not None
    assert asked.alerts[0].deployment.id == "uid-1"


def exec_review(pod: str = "web-1", **more: Any) -> dict[str, Any]:
    given = review(
        {"apiVersion": "v1", "kind": "PodExecOptions", "metadata": {}},
        operation="CONNECT",
        subResource="exec",
        name=pod,
        namespace="shop",
        **more,
    )
    given["request"]["object"] = {"kind": "PodExecOptions", "container": "c0", "command": ["sh", "-c", "id"]}
    return given


def test_a_request_to_a_pod_is_refused_where_that_is_enforced_and_told_either_way() -> None:
    for action, refused in (("FAIL_KUBE_REQUEST_ENFORCEMENT", True), ("KILL_POD_ENFORCEMENT", False)):
        asked = Asked(default(EXEC, action))
        asked.objects["pods/shop/web-1"] = workload("shop:1", name="web")
        (answer,) = asked.of(exec_review())
        assert answer.allowed is not refused
        (alert,) = asked.alerts
        assert alert.state == ("ATTEMPTED" if refused else "ACTIVE")
        assert alert.lifecycle_stage == "RUNTIME"
        assert "jane asked to run 'sh -c id' in pod shop/web-1" in alert.violations[0].message
        assert asked.of(exec_review(dryRun=True))[0].allowed is not refused
        assert len(asked.alerts) == 1


def test_a_request_to_a_pod_whose_workload_is_not_known_is_refused_all_the_same() -> None:
    asked = Asked(default(EXEC, "FAIL_KUBE_REQUEST_ENFORCEMENT"))
    assert not asked.of(exec_review())[0].allowed
    assert asked.alerts == []


def test_requests_to_pods_that_are_not_refused() -> None:
    asked = Asked(default(EXEC, "FAIL_KUBE_REQUEST_ENFORCEMENT"))
    asked.objects["pods/kube-system/web-1"] = workload("shop:1")
    in_system = exec_review()
    in_system["request"]["namespace"] = "kube-system"
    system = exec_review(userInfo={"username": "system:serviceaccount:kube-system:x"})
    glass = {"admission.stackrox.io/bypass-kube-event-enforcement": "ticket-2"}
    asked.objects["pods/shop/glass"] = workload("shop:1", annotations=glass)
    answers = asked.of(in_system, system, exec_review("glass"))
    assert [answer.allowed for answer in answers] == [True, True, True]
    assert (asked.figures.of("bypassed"), asked.figures.of("allowed")) == (1, 1)
    assert {alert.state for alert in asked.alerts} == {"ACTIVE"}


def test_attach_and_port_forward_have_policies_of_their_own() -> None:
    policies = [
        default(f"Kubernetes Actions: {name}", "FAIL_KUBE_REQUEST_ENFORCEMENT")
        for name in ("Attach to Pod", "Port Forward to Pod")
    ]
    asked = Asked(*policies)
    attach, forward, executed = exec_review(), exec_review(), exec_review()
    attach["request"]["subResource"], forward["request"]["subResource"] = "attach", "portforward"
    forward["request"]["object"] = {"ports": [8080]}
    assert [answer.allowed for answer in asked.of(attach, forward, executed)] == [False, False, True]


def test_nothing_of_an_object_is_logged(capsys: pytest.CaptureFixture[str]) -> None:
    secret = "hunter2-very-secret"
    env = [{"name": "PASSWORD", "value": secret}]
    bad = workload(
        "shop:latest", pod={"initContainers": [{"name": "i", "image": "x", "env": env, "args": [secret]}]}
    )
    glass = workload("x", annotations={"admission.stackrox.io/break-glass": secret})
    asked = Asked(LATEST, FIXABLE)
    asked.away = True
    asked.of(
        review(bad), review(glass), review(workload("shop:1", labels={"a": secret}), object={"kind": secret})
    )
    said = capsys.readouterr()
    assert "break-glass" in said.out + said.err
    assert secret not in said.out + said.err
