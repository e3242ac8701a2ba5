"""A workload looked at while it is JSON still: whether policies may be broken by it, without making a ``Deployment`` of it. Pure.

Most workloads break nothing, and most of what is in them was seen before: a container that an update leaves alone, how
containers are secured, what they may use, what they mount. What the questions of a :class:`Plan` make of such a piece is
remembered by its bytes. Types of what no policy reads (arguments, what is in variables) are not looked at: the API server did.
Where something may be broken, or is not as usual, the workload is to be converted and asked as ever: nothing is decided here.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from datetime import datetime
from typing import TypeAlias

import msgspec

from redoubt.model.workload import (
    Container,
    Deployment,
    EnvironmentVariable,
    ImageName,
    Surroundings,
)
from redoubt.policies import kubernetes, objects
from redoubt.policies.compiling import World
from redoubt.policies.criteria import Level
from redoubt.policies.kubernetes import Named
from redoubt.policies.plan import Feature, Known, Plan
from redoubt.policies.values import Clock

_Raw: TypeAlias = msgspec.Raw
#: Workloads with more containers are not glanced at.
_MANY = 200
#: Bytes of containers that are remembered, and of one.
_MEMORY, _LARGEST = 4 << 20, 32 << 10


class _Written(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """See ``objects``, of which these are parts."""


class _Variable(_Written, frozen=True, gc=False):
    name: str | None = None
    value_from: objects.ValueFrom | None = None


class _Container(_Written, frozen=True, gc=False):
    name: str | None = None
    image: str | None = None
    env: tuple[_Variable, ...] | None = None
    ports: _Raw = _Raw()
    resources: _Raw = _Raw()
    volume_mounts: _Raw = _Raw()
    security_context: _Raw = _Raw()
    liveness_probe: _Raw = _Raw()
    readiness_probe: _Raw = _Raw()


class Spec(_Written, frozen=True, gc=False):
    """``objects.Spec``, of which what is large is JSON still."""

    init_containers: tuple[_Raw, ...] | None = None
    containers: tuple[_Raw, ...] | None = None
    ephemeral_containers: tuple[_Raw, ...] | None = None
    volumes: _Raw = _Raw()
    image_pull_secrets: tuple[objects.Reference, ...] | None = None
    service_account_name: str | None = None
    service_account: str | None = None
    automount_service_account_token: bool | None = None
    host_network: bool | None = None
    host_pid: bool | None = msgspec.field(default=None, name="hostPID")
    host_ipc: bool | None = msgspec.field(default=None, name="hostIPC")
    runtime_class_name: str | None = None
    security_context: _Raw = _Raw()
    replicas: int | None = None
    template: Template | None = None
    job_template: Template | None = None


class Template(_Written, frozen=True, gc=False):
    """``objects.Template``."""

    metadata: objects.Meta | None = None
    spec: Spec | None = None


class Workload(_Written, frozen=True, gc=False):
    """``objects.Workload``."""

    api_version: str | None = None
    kind: str | None = None
    metadata: objects.Meta | None = None
    spec: Spec | None = None


class Glimpse(msgspec.Struct, frozen=True, gc=False):
    """What a glance saw: the bits of a workload's description, and the images of its containers."""

    bits: int
    images: tuple[ImageName, ...]


class _Piece:
    """A field of a container, perhaps with one of its pod that it hangs together with, and what is asked about them."""

    __slots__ = ("_features", "_name", "_of_pod", "known")

    def __init__(self, name: str, of_pod: str, features: Sequence[Feature]) -> None:
        self._name, self._of_pod = name.encode(), of_pod.encode()
        self._features = features
        self.known = Known()

    def ask(self, key: tuple[bytes, bytes], clock: Clock) -> int:
        """The bits for the JSON of both, which are remembered. Raises ``NotAWorkload``."""
        own, whole = key
        container = kubernetes.decoded(_containers, _object(self._name, own))
        pod = kubernetes.decoded(_pods, _object(self._of_pod, whole))
        made = kubernetes.contained(container, pod, {}, kubernetes.sources(pod), "", "REGULAR", _unnamed)
        given = Deployment(ports=made.ports) if self._name == b"ports" else made
        bits = 0
        for feature in self._features:
            bits |= feature.of(given, clock)
        self.known.keep(key, bits, len(own) + len(whole))
        return bits


class Glance:
    """For a plan. Used by one thread at a time."""

    def __init__(self, plan: Plan, named: Named) -> None:
        self._plan, self._named = plan, named
        self._known = Known(_MEMORY, _LARGEST)
        self._name = next(iter(plan.features(Level.CONTAINER, "name")), None)
        self._variable = plan.of_variable
        #: Of variables whose content is in the workload, by their names alone.
        self._names = Known()
        self._profiles = plan.features(Level.CONTAINER, "AppArmor Profile")
        asked = [
            (
                "securityContext",
                "securityContext",
                plan.features(Level.CONTAINER, "security_context") + self._profiles,
            ),
            ("volumeMounts", "volumes", plan.features(Level.VOLUME, "volumes")),
            ("resources", "", plan.features(Level.CONTAINER, "resources")),
            ("ports", "", plan.features(Level.PORT, "ports")),
            ("livenessProbe", "", plan.features(Level.CONTAINER, "Liveness Probe Defined")),
            ("readinessProbe", "", plan.features(Level.CONTAINER, "Readiness Probe Defined")),
        ]
        #: How each is read of a container, and which part of what is shared by its pod's containers it hangs on.
        self._pieces = [
            (operator.attrgetter(_snake(name)), _SHARED.index(of_pod), _Piece(name, of_pod, features))
            for name, of_pod, features in asked
            if features
        ]

    def at(self, given: Workload, namespace: str, around: Surroundings, now: datetime) -> Glimpse | None:
        """A workload; ``namespace`` is what counts. None where it is to be looked at properly. Raises ``NotAWorkload``."""
        clock = Clock(now)
        kind, meta, whole = given.kind or "", given.metadata or _NO_META, given.spec or _NO_SPEC
        pod, inner = kubernetes.pod_of(kind, meta, whole)
        if not isinstance(pod, Spec):
            pod = _NO_SPEC
        raws = (*(pod.init_containers or ()), *(pod.containers or ()), *(pod.ephemeral_containers or ()))
        if len(raws) > _MANY or (self._profiles and (_has_profiles(meta) or _has_profiles(inner))):
            return None
        made = kubernetes.workload(kind, meta, whole, pod, inner, namespace)
        bits = self._plan.of_workload(World(clock, made, (), around))
        shared = (b"", bytes(pod.security_context), bytes(pod.volumes))
        images = []
        for raw in raws:
            key = (bytes(raw), shared)
            known = self._known.get(key)
            if known is None:
                known = self._ask(key, clock)
            bits |= known[0]
            images.append(known[1])
        return Glimpse(bits, tuple(images))

    def _variables(self, env: Sequence[_Variable], asked: Feature, clock: Clock) -> int:
        find = self._names.get
        bits = 0
        for variable in env:
            name = variable.name
            if variable.value_from is not None:
                source = kubernetes.source_of(variable.value_from)
                bits |= asked.of(EnvironmentVariable(key=name or "", env_var_source=source), clock)
            elif known := find(name, -1):  # most fit nothing
                if known < 0:
                    known = asked.bits(EnvironmentVariable(key=name or "", env_var_source="RAW"), clock)
                    self._names.keep(name, known, len(name or ""))
                bits |= known
        return bits

    def _ask(self, key: tuple[bytes, tuple[bytes, ...]], clock: Clock) -> tuple[int, ImageName]:
        """The bits for a container's JSON, and what its image is called; remembered from now on."""
        raw, shared = key
        given = kubernetes.decoded(_glanced, raw)
        bits = 0
        for read, of_pod, piece in self._pieces:
            pair = (bytes(read(given)), shared[of_pod])
            known = piece.known.get(pair)
            bits |= piece.ask(pair, clock) if known is None else known
        if self._name is not None:
            bits |= self._name.of(Container(name=given.name or ""), clock)
        image = self._named(given.image or "")
        if self._plan.of_name is not None:
            bits |= self._plan.of_name.of(image, clock)
        if given.env and self._variable is not None:
            bits |= self._variables(given.env, self._variable, clock)
        self._known.keep(key, (bits, image), 256 + len(raw) + sum([len(each) for each in shared]))
        return bits, image


def spelled_out(given: Workload) -> objects.Workload:
    """The workload with all that is JSON still. Raises ``NotAWorkload``."""
    spec = None if given.spec is None else _spelled_out(given.spec)
    return objects.Workload(given.api_version, given.kind, given.metadata, spec)


def _spelled_out(spec: Spec) -> objects.Spec:
    read = kubernetes.decoded
    pods = read(
        _pods,
        b'{"volumes":%b,"securityContext":%b}'
        % (bytes(spec.volumes) or b"null", bytes(spec.security_context) or b"null"),
    )

    def all_of(some: Sequence[_Raw] | None) -> tuple[objects.Container, ...] | None:
        return None if some is None else tuple([read(_containers, each) for each in some])

    def template(given: Template | None) -> objects.Template | None:
        if given is None:
            return None
        return objects.Template(given.metadata, None if given.spec is None else _spelled_out(given.spec))

    return objects.Spec(
        init_containers=all_of(spec.init_containers),
        containers=all_of(spec.containers),
        ephemeral_containers=all_of(spec.ephemeral_containers),
        volumes=pods.volumes,
        image_pull_secrets=spec.image_pull_secrets,
        service_account_name=spec.service_account_name,
        service_account=spec.service_account,
        automount_service_account_token=spec.automount_service_account_token,
        host_network=spec.host_network,
        host_pid=spec.host_pid,
        host_ipc=spec.host_ipc,
        runtime_class_name=spec.runtime_class_name,
        security_context=pods.security_context,
        replicas=spec.replicas,
        template=template(spec.template),
        job_template=template(spec.job_template),
    )


def _has_profiles(meta: objects.Meta) -> bool:
    """Whether annotations may say how containers are confined, as they did before there were fields for it."""
    for name in meta.annotations or ():  # noqa: SIM110  half the time of any()
        if name.startswith(kubernetes.APPARMOR):
            return True
    return False


def _object(name: bytes, value: bytes) -> bytes:
    return b'{"%b":%b}' % (name, value) if value else b"{}"


def _snake(name: str) -> str:
    return "".join(f"_{sign.lower()}" if sign.isupper() else sign for sign in name)


def _unnamed(_: str) -> ImageName:
    return _NO_NAME


_NO_SPEC, _NO_META, _NO_NAME = Spec(), objects.Meta(), ImageName()
#: What containers of a pod share.
_SHARED = ("", "securityContext", "volumes")
_glanced = msgspec.json.Decoder(_Container)
_containers, _pods = msgspec.json.Decoder(objects.Container), msgspec.json.Decoder(objects.Spec)
