"""``/v1/processes``, ``/v1/processcount``, ``/v1/listening_endpoints``: what runs in deployments, and what it listens on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable
from datetime import datetime
from typing import Annotated, TypeVar

import msgspec
from litestar import Controller, get
from litestar.params import FromPath, QueryParameter

from redoubt.central.api.given import Call, Given
from redoubt.central.auth.declare import allow
from redoubt.central.auth.reach import reach
from redoubt.central.auth.roles import Access, Resource
from redoubt.central.store.activity import ActivityStore, SeenEndpoint, SeenProcess

_READ = allow(Resource.DEPLOYMENT_EXTENSION, Access.READ, scoped=True)

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class _Message(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A message of the original."""


class LineageInfo(_Message, frozen=True, kw_only=True):
    """``ProcessSignal.LineageInfo``."""

    parent_uid: int = 0
    parent_exec_file_path: str = ""


class Signal(_Message, frozen=True, kw_only=True):
    """``storage.ProcessSignal``."""

    id: str = ""
    container_id: str = ""
    time: datetime | None = None
    name: str = ""
    args: str = ""
    exec_file_path: str = ""
    pid: int = 0
    uid: int = 0
    gid: int = 0
    lineage: tuple[str, ...] = ()
    scraped: bool = False
    lineage_info: tuple[LineageInfo, ...] = ()


class ProcessIndicator(_Message, frozen=True, kw_only=True):
    """``storage.ProcessIndicator``. When it was first and last seen, and how often, is ours."""

    id: str
    deployment_id: str
    container_name: str
    pod_id: str
    pod_uid: str
    signal: Signal
    cluster_id: str
    namespace: str
    image_id: str
    first_seen: datetime
    last_seen: datetime
    times_seen: int


class Processes(_Message, frozen=True, kw_only=True):
    """``GetProcessesResponse``."""

    processes: list[ProcessIndicator]


class ProcessGroup(_Message, frozen=True, kw_only=True):
    """Processes with the same arguments."""

    args: str
    signals: list[ProcessIndicator]


class ProcessNameGroup(_Message, frozen=True, kw_only=True):
    """A program."""

    name: str
    times_executed: int
    groups: list[ProcessGroup]


class ContainerNameGroup(_Message, frozen=True, kw_only=True):
    """A program of a container. ``suspicious``: its baseline, which is learned, does not know it."""

    name: str
    times_executed: int
    container_name: str
    groups: list[ProcessGroup]
    suspicious: bool


class Grouped(_Message, frozen=True, kw_only=True):
    """``GetGroupedProcessesResponse``."""

    groups: list[ProcessNameGroup]


class GroupedByContainer(_Message, frozen=True, kw_only=True):
    """``GetGroupedProcessesWithContainerResponse``."""

    groups: list[ContainerNameGroup]


class ProcessCount(_Message, frozen=True, kw_only=True):
    """How many there are."""

    count: int


class Endpoint(_Message, frozen=True, kw_only=True):
    """A port and its protocol."""

    port: int
    protocol: str


class ListeningProcess(_Message, frozen=True, kw_only=True):
    """``storage.ProcessListeningOnPort``."""

    endpoint: Endpoint
    deployment_id: str
    container_name: str
    pod_id: str
    pod_uid: str
    signal: Signal
    cluster_id: str
    namespace: str


class ListeningEndpoints(_Message, frozen=True, kw_only=True):
    """``GetProcessesListeningOnPortsResponse``."""

    listening_endpoints: list[ListeningProcess]
    total_listening_endpoints: int


class ProcessController(Controller):
    """Processes and what they listen on. An answer has 10,000 at most: the latest."""

    path = "/v1"
    tags = ("Processes",)

    @get("/processes/deployment/{id:str}", opt=_READ, summary="A deployment's processes")
    async def all(self, request: Call, services: Given, id: FromPath[str]) -> Processes:  # noqa: A002
        """The latest first; each program with its arguments once for each pod."""
        return Processes(processes=[_indicator(each) for each in await _found(request, services, id)])

    @get("/processes/deployment/{id:str}/grouped", opt=_READ, summary="A deployment's processes, by program")
    async def grouped(self, request: Call, services: Given, id: FromPath[str]) -> Grouped:  # noqa: A002
        """By name."""
        several = _by(await _found(request, services, id), lambda one: one.path)
        return Grouped(
            groups=[
                ProcessNameGroup(name=path, times_executed=_times(given), groups=_groups(given))
                for path, given in sorted(several.items())
            ]
        )

    @get(
        "/processes/deployment/{id:str}/grouped/container",
        opt=_READ,
        summary="A deployment's processes, by container and program",
    )
    async def by_container(self, request: Call, services: Given, id: FromPath[str]) -> GroupedByContainer:  # noqa: A002
        """With whether the container's baseline knows them."""
        several = _by(await _found(request, services, id), lambda one: (one.path, one.container))
        return GroupedByContainer(
            groups=[
                ContainerNameGroup(
                    name=path,
                    times_executed=_times(given),
                    container_name=container,
                    groups=_groups(given),
                    suspicious=any(not each.usual for each in given),
                )
                for (path, container), given in sorted(several.items())
            ]
        )

    @get("/processcount", opt=_READ, summary="How many processes there are")
    async def count(
        self, request: Call, services: Given, search: Annotated[str, QueryParameter(name="query")] = ""
    ) -> ProcessCount:
        """Found by the query: ``Process Name``, ``Process Path``, ``Process Arguments``, ``Deployment``, ``Container Name``…"""
        within = await reach(services.pool, request.user, Resource.DEPLOYMENT_EXTENSION)
        return ProcessCount(count=await ActivityStore(services.pool).count_processes(search, within))

    @get("/listening_endpoints/deployment/{id:str}", opt=_READ, summary="What a deployment listens on")
    async def listening(self, request: Call, services: Given, id: FromPath[str]) -> ListeningEndpoints:  # noqa: A002
        """Ports that are open now, and the programs behind them."""
        within = await reach(services.pool, request.user, Resource.DEPLOYMENT_EXTENSION)
        found = await ActivityStore(services.pool).endpoints(id[:300].replace("\x00", ""), within)
        return ListeningEndpoints(
            listening_endpoints=[_listening(each) for each in found], total_listening_endpoints=len(found)
        )


async def _found(request: Call, services: Given, deployment: str) -> list[SeenProcess]:
    within = await reach(services.pool, request.user, Resource.DEPLOYMENT_EXTENSION)
    return await ActivityStore(services.pool).processes(deployment[:300].replace("\x00", ""), within)


def _by(given: Iterable[SeenProcess], key: Callable[[SeenProcess], K]) -> dict[K, list[SeenProcess]]:
    found: dict[K, list[SeenProcess]] = defaultdict(list)
    for each in given:
        found[key(each)].append(each)
    return found


def _times(given: Iterable[SeenProcess]) -> int:
    return sum(each.times for each in given)


def _groups(given: Iterable[SeenProcess]) -> list[ProcessGroup]:
    return [
        ProcessGroup(args=args, signals=[_indicator(each) for each in several])
        for args, several in sorted(_by(given, lambda one: one.args).items())
    ]


def _indicator(row: SeenProcess) -> ProcessIndicator:
    try:
        lineage = msgspec.json.decode(row.lineage, type=tuple[LineageInfo, ...])
    except msgspec.DecodeError:  # of before what is kept was cut between two ancestors
        lineage = ()
    return ProcessIndicator(
        id=row.id,
        deployment_id=row.deployment,
        container_name=row.container,
        pod_id=row.pod,
        pod_uid=row.pod_uid,
        signal=Signal(
            id=row.id,
            container_id=row.container_id,
            time=row.last_seen,
            name=row.name,
            args=row.args,
            exec_file_path=row.path,
            pid=row.pid,
            uid=row.uid,
            gid=row.gid,
            lineage=tuple(each.parent_exec_file_path for each in lineage),
            lineage_info=lineage,
        ),
        cluster_id=str(row.cluster),
        namespace=row.namespace,
        image_id=row.image,
        first_seen=row.first_seen,
        last_seen=row.last_seen,
        times_seen=row.times,
    )


def _listening(row: SeenEndpoint) -> ListeningProcess:
    return ListeningProcess(
        endpoint=Endpoint(port=row.port, protocol=row.protocol),
        deployment_id=row.deployment,
        container_name=row.container,
        pod_id=row.pod,
        pod_uid=row.pod_uid,
        signal=Signal(name=row.name, args=row.args, exec_file_path=row.path, time=row.last_seen),
        cluster_id=str(row.cluster),
        namespace=row.namespace,
    )
