"""Lists and watches against a stand-in for the API server, which does what a real one does only now and then."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from redoubt import kubeapi, tasks
from redoubt.kubeapi import Api, ApiFailure
from redoubt.sensor.cluster.changes import Change, Changes
from redoubt.sensor.cluster.discovery import Resource, discover
from redoubt.sensor.cluster.watching import Convert, Put, Watch
from redoubt.sensor.conversion import objects
from support.apiserver import ApiServer, serving

PATH = "/api/v1/namespaces"
NAMESPACES = Resource("Namespace", "namespaces", "", "v1")


def _namespace(name: str, version: int = 1) -> dict[str, Any]:
    return {"metadata": {"name": name, "uid": f"uid-{name}", "resourceVersion": str(version)}}


class Watched:
    """A watch, and what it told."""

    def __init__(self, server: ApiServer, watch: Watch, told: list[Change]) -> None:
        self.server, self.watch, self.told = server, watch, told

    async def until(self, what: str, happened: Callable[[], object]) -> None:
        for _ in range(1000):
            if happened():
                return
            await asyncio.sleep(0.01)
        raise AssertionError(f"{what} did not come")

    async def watching(self) -> None:
        await self.until("a watch", lambda: self.server.watchers[PATH])


def _watched(
    folder: Path,
    work: Callable[[Watched], Coroutine[Any, Any, None]],
    *there: dict[str, Any],
    convert: Convert = objects.namespace,
    before: Put | None = None,
) -> None:
    async def running() -> None:
        server = ApiServer(folder)
        server.objects[PATH] = list(there)
        told: list[Change] = []

        async def put(change: Change) -> None:
            if before is not None:
                await before(change)
            told.append(change)

        async with serving(server):
            api = Api(server.kubeconfig())
            watch = Watch(api, NAMESPACES, convert, put, seconds=30, jitter=0)
            task = asyncio.create_task(watch.run())
            try:
                await asyncio.wait_for(work(Watched(server, watch, told)), 20)
            finally:
                await tasks.end(task)
                await api.close()

    asyncio.run(running())


def test_what_is_there_comes_first_and_then_what_changes(tmp_path: Path) -> None:
    async def work(given: Watched) -> None:
        await given.watching()
        assert [(each.id, each.fresh) for each in given.told] == [("uid-a", False), ("", False)]
        assert given.told[1].listed == {"uid-a"}
        await given.server.say(PATH, "ADDED", _namespace("b", 2))
        await given.server.say(PATH, "MODIFIED", _namespace("a", 3))
        await given.server.say(PATH, "DELETED", _namespace("a", 4))
        await given.until("all", lambda: len(given.told) == 5)
        assert [(each.id, each.found is None, each.fresh) for each in given.told[2:]] == [
            ("uid-b", False, True),
            ("uid-a", False, False),
            ("uid-a", True, False),
        ]

    _watched(tmp_path, work, _namespace("a"))


def test_a_watch_that_ends_goes_on_where_it_was(tmp_path: Path) -> None:
    async def work(given: Watched) -> None:
        await given.watching()
        bookmark = {"metadata": {"resourceVersion": "77"}}
        await given.server.say(PATH, "BOOKMARK", bookmark)
        await given.server.hang_up(PATH)
        await given.watching()
        asked = [each for each in given.server.requests if "watch=true" in each]
        assert "resourceVersion=1&" in asked[0]
        assert "resourceVersion=77&" in asked[1]
        assert given.watch.lists == 1

    _watched(tmp_path, work)


@pytest.mark.parametrize("how", ["event", "status"])
def test_a_version_that_was_forgotten_is_listed_again_and_what_is_gone_is_gone(
    tmp_path: Path, how: str
) -> None:
    async def work(given: Watched) -> None:
        await given.watching()
        given.server.objects[PATH] = [_namespace("b")]
        if how == "event":
            await given.server.say(PATH, "ERROR", {"code": 410, "message": "too old"})
        else:
            given.server.refusals[PATH] = 410, {"message": "too old"}
            before = len(given.server.requests)
            await given.server.hang_up(PATH)
            await given.until("a refusal", lambda: len(given.server.requests) > before)
            del given.server.refusals[PATH]
        await given.until("another list", lambda: given.told[-1].listed == {"uid-b"})

    _watched(tmp_path, work, _namespace("a"))


def test_what_is_forbidden_is_said_and_settled(tmp_path: Path) -> None:
    async def work(given: Watched) -> None:
        await given.watching()
        given.server.refusals[PATH] = 403, {"message": "namespaces is forbidden"}
        await given.server.hang_up(PATH)
        await given.until("a problem", lambda: "forbidden" in given.watch.problem)
        assert given.watch.settled.is_set()

    _watched(tmp_path, work)


@pytest.mark.parametrize(
    "line",
    [
        b"rubbish\n",
        b'{"type": "ADDED"}\n',
        b'{"type": "ADDED", "object": 5}\n',
        b'{"type": 5, "object": {}}\n',
        b"\xff\xfe\n",
        b'{"type": "ERROR", "object": {"code": 500, "message": "no"}}\n',
    ],
)
def test_a_watch_that_says_rubbish_is_begun_again(tmp_path: Path, line: bytes) -> None:
    async def work(given: Watched) -> None:
        await given.watching()
        await given.server.write(PATH, line)
        await given.until("a problem", lambda: given.watch.problem)
        await given.server.hang_up(PATH)
        await given.until("that it is well again", lambda: not given.watch.problem)
        await given.watching()
        await given.server.say(PATH, "ADDED", _namespace("late"))
        await given.until("an object", lambda: any(each.id == "uid-late" for each in given.told))

    _watched(tmp_path, work)


@pytest.mark.parametrize("odd", [{}, {"metadata": {}}, {"metadata": {"uid": 5}}, {"metadata": {"uid": ""}}])
def test_an_object_without_an_identifier_is_counted_and_holds_nothing_up(
    tmp_path: Path, odd: dict[str, Any]
) -> None:
    async def work(given: Watched) -> None:
        await given.watching()
        assert given.watch.spoilt == 1
        assert [each.id for each in given.told] == ["uid-a", ""]

    _watched(tmp_path, work, odd, _namespace("a"))


def test_a_fault_of_ours_in_one_object_holds_no_other_up(tmp_path: Path) -> None:
    async def work(given: Watched) -> None:
        await given.watching()
        assert given.watch.spoilt == 1
        assert [each.id for each in given.told] == ["uid-a", ""]

    def faulty(found: dict[str, Any]) -> object:
        if found["metadata"]["name"] == "odd":
            raise ZeroDivisionError
        return objects.namespace(found)

    _watched(tmp_path, work, _namespace("odd"), _namespace("a"), convert=faulty)


def test_a_watch_goes_on_whatever_it_failed_with(tmp_path: Path) -> None:
    async def work(given: Watched) -> None:
        await given.until("that it is well again", lambda: given.told and not given.watch.problem)
        assert given.watch.lists == 2
        assert given.told[-1].listed == {"uid-a"}

    failures = [ZeroDivisionError()]

    async def put(change: Change) -> None:
        if failures:
            raise failures.pop()

    _watched(tmp_path, work, _namespace("a"), before=put)


def test_a_line_comes_in_pieces(tmp_path: Path) -> None:
    async def work(given: Watched) -> None:
        await given.watching()
        data = json.dumps({"type": "ADDED", "object": _namespace("slow")}).encode() + b"\n"
        for at in range(0, len(data), 7):
            await given.server.write(PATH, data[at : at + 7])
            await asyncio.sleep(0)
        await given.until("an object", lambda: any(each.id == "uid-slow" for each in given.told))

    _watched(tmp_path, work)


def test_a_kubeconfig_is_read_again_when_credentials_are_not_taken_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kubeapi, "_RENEW", 0.0)

    async def work() -> None:
        before, after = ApiServer(tmp_path), ApiServer(tmp_path)
        async with serving(before), serving(after):
            path = before.kubeconfig()
            api = Api(path)
            await api.get(PATH)
            before.refusals[PATH] = (401, {"message": "Unauthorized", "code": 401})
            path.write_text("{")  # half of it is there
            for _ in range(2):
                with pytest.raises(ApiFailure, match="Unauthorized"):
                    await api.get(PATH)
            after.kubeconfig()
            with pytest.raises(ApiFailure, match="Unauthorized"):
                await api.get(PATH)
            await api.get(PATH)
            assert after.requests == [PATH]
            await api.close()

    asyncio.run(work())


def test_discovery_takes_the_best_version_that_is_there(tmp_path: Path) -> None:
    async def work() -> None:
        server = ApiServer(tmp_path, "batch", "apps", "route.openshift.io")
        server.resources |= {
            "/apis/batch/v1": ["jobs"],
            "/apis/batch/v1beta1": ["cronjobs"],
            "/apis/apps/v1": ["deployments"],
            "/apis/route.openshift.io/v1": ["routes"],
        }
        async with serving(server):
            api = Api(server.kubeconfig())
            with pytest.raises(ApiFailure, match=r"does not have ClusterRole, .*StatefulSet \(yet\)"):
                await discover(api)
            found = {each.kind: each.api_version for each in await discover(api, partly=True)}
            await api.close()
        assert found == {
            "Namespace": "v1",
            "Pod": "v1",
            "Deployment": "apps/v1",
            "Job": "batch/v1",
            "CronJob": "batch/v1beta1",
            "Route": "route.openshift.io/v1",
        }

    asyncio.run(work())


def test_a_storm_takes_one_place_an_object_and_who_reads_waits_for_room() -> None:
    async def work() -> None:
        changes = Changes(3)
        for each in range(1000):
            await changes.put(Change("Pod", str(each % 3), found=each, fresh=each < 3))
        assert len(changes) == 3
        late = asyncio.create_task(changes.put(Change("Pod", "late")))
        await asyncio.sleep(0.01)
        assert not late.done()
        taken = await changes.take(10)
        assert [(each.id, each.found, each.fresh) for each in taken] == [
            ("0", 999, True),
            ("1", 997, True),
            ("2", 998, True),
        ]
        await late
        assert [each.id for each in await changes.take(10)] == ["late"]
        assert changes.coalesced == 997

    asyncio.run(work())


def test_a_list_counts_for_what_came_before_it() -> None:
    async def work() -> None:
        changes = Changes(10)
        await changes.put(Change("Pod", "", listed=frozenset({"a"})))
        await changes.put(Change("Pod", "a", found=1))
        await changes.put(Change("Pod", "", listed=frozenset({"b"})))
        assert [each.id for each in await changes.take(10)] == ["a", ""]

    asyncio.run(work())
