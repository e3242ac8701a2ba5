"""Filling a mirror folder from servers."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from redoubt import egress
from redoubt.definitions import fetching
from redoubt.definitions.build import build
from redoubt.definitions.changed import since_last_build
from redoubt.definitions.fetching import Fetcher, online
from redoubt.definitions.mirror import Fetch, Mirror
from redoubt.definitions.sources import Download, Source
from redoubt.errors import NetworkError
from redoubt.model import SourceInfo
from support.feeds import FIXTURES, source_named
from support.web import Answer, Asked, Web

NOW = datetime(2099, 1, 2, 3, 4, 5, tzinfo=UTC)
KEV = (FIXTURES / "kev" / "known_exploited_vulnerabilities.json").read_bytes()


@pytest.fixture
def client() -> egress.Client:
    return egress.client(policy=egress.Policy(), retry=egress.Retry(attempts=1), timeout=5)


def at(source: Source, url: str, **changes: object) -> Source:
    moved = tuple(Download(path, f"{url}/{path}") for path, _ in source.downloads)
    return source._replace(downloads=moved, **changes)  # type: ignore[arg-type]


def test_files_are_fetched_once_and_then_only_asked_about(tmp_path: Path, client: egress.Client) -> None:
    def answer(asked: Asked) -> Answer:
        if asked.headers.get("if-none-match") == '"one"':
            return Answer(304)
        return Answer(body=KEV, headers={"ETag": '"one"', "Last-Modified": "Thu, 01 Jan 2099 00:00:00 GMT"})

    with Web(answer) as web, client:
        source = at(source_named("kev"), web.url)
        first = Fetcher(tmp_path, client, now=NOW).fetch(source)
        again = Fetcher(tmp_path, client, now=NOW.replace(hour=9)).fetch(source)
    assert (first.changed, first.detail, again.changed, again.detail) == (1, "", 0, "")
    assert web.asked[1].headers["if-modified-since"] == "Thu, 01 Jan 2099 00:00:00 GMT"
    mirror = Mirror(tmp_path)
    assert [path for path, _ in mirror.files(source)] == ["kev/known_exploited_vulnerabilities.json"]
    assert mirror.fetched(source) == ("2099-01-02T09:04:05Z", '"one"')
    assert [path.name for path in tmp_path.rglob("*") if path.name.endswith(".part")] == []


def test_a_file_that_vanished_from_the_folder_is_fetched_again(tmp_path: Path, client: egress.Client) -> None:
    with (
        Web(
            lambda asked: Answer(304 if "if-none-match" in asked.headers else 200, KEV, {"ETag": '"x"'})
        ) as web,
        client,
    ):
        source = at(source_named("kev"), web.url)
        Fetcher(tmp_path, client).fetch(source)
        (tmp_path / "kev" / "known_exploited_vulnerabilities.json").unlink()
        assert Fetcher(tmp_path, client).fetch(source).changed == 1
    assert len(Mirror(tmp_path).files(source)) == 1


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer(500), "answered 500"),
        (Answer(404), "answered 404"),
        (Answer(body=b"x" * 100_000), "limit"),
        (Answer(body=KEV[:50], length=len(KEV)), "broke off"),
    ],
)
def test_a_failed_fetch_leaves_what_was_there_and_says_why(
    tmp_path: Path, client: egress.Client, answer: Answer, reason: str
) -> None:
    file = tmp_path / "kev" / "known_exploited_vulnerabilities.json"
    file.parent.mkdir()
    file.write_bytes(KEV)
    with Web(lambda _: answer) as web, client:
        mirror = online(tmp_path, [at(source_named("kev"), web.url, limit=50_000)], client)
    assert reason in mirror.fetches["kev"].detail
    assert file.read_bytes() == KEV
    with build(mirror, ["kev"]) as built:
        assert built.sources[0].state == "stale"
        assert reason in built.sources[0].detail


def test_one_file_of_many_that_cannot_be_had_does_not_stop_the_rest(
    tmp_path: Path, client: egress.Client
) -> None:
    data = (FIXTURES / "alpine" / "v3.20" / "main.json").read_bytes()
    with Web(lambda asked: Answer(body=data) if "v3.20/main" in asked.path else Answer(404)) as web, client:
        source = at(source_named("alpine"), web.url)
        told: list[tuple[str, int, int]] = []
        mirror = online(tmp_path / "new" / "folder", [source], client, progress=lambda *at: told.append(at))
    assert told[-1] == ("alpine", len(data), len(data))
    assert mirror.fetches["alpine"].changed == 1
    assert (
        f"and {len(source.downloads) - 2} more of {len(source.downloads)} files"
        in mirror.fetches["alpine"].detail
    )
    with build(mirror, ["alpine"]) as built:
        assert built.sources[0].state == "stale"
        assert built.namespaces == {"alpine:v3.20": 9}


def test_a_host_that_does_not_answer_is_asked_once_and_named_by_each_of_its_sources(
    tmp_path: Path, client: egress.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Web(lambda _: Answer()) as web:
        gone = web.url  # nobody listens there any more once the server is closed
    asked: list[str] = []
    send = egress.Client.send

    def counted(self: egress.Client, url: str, **given: Any) -> egress.Response:
        asked.append(url)
        return send(self, url, **given)

    monkeypatch.setattr(egress.Client, "send", counted)
    with client:
        sources = [at(source_named("alpine"), gone), at(source_named("kev"), gone)]
        mirror = online(tmp_path, sources, client)
    assert len(asked) == 1
    assert "cannot connect" in mirror.fetches["alpine"].detail
    assert "does not answer" in mirror.fetches["kev"].detail
    with pytest.raises(NetworkError, match="no source could be fetched: alpine"):
        build(mirror, registry=sources)


def test_fetched_data_that_cannot_be_read_falls_back_to_what_was_kept(
    tmp_path: Path, client: egress.Client
) -> None:
    bodies = [KEV, b"<html>maintenance</html>"]
    with Web(lambda _: Answer(body=bodies.pop(0))) as web, client:
        source = at(source_named("kev"), web.url)
        states = []
        for _ in range(2):
            mirror = online(tmp_path / "folder", [source], client, state=tmp_path / "state", now=NOW)
            with build(mirror, ["kev"]) as built:
                states.append(built.sources[0].state)
                assert built.infos[0].records == 2
                assert built.sources[0].fetched == "2099-01-02T03:04:05Z"
    assert states == ["fresh", "stale"]


def test_notes_of_a_folder_that_are_damaged_are_forgotten(tmp_path: Path) -> None:
    (tmp_path / ".fetched.json").write_text('{"kev": 7}')
    assert Mirror(tmp_path).fetched(source_named("kev")) == ("", "")


def test_sources_are_fetched_beside_each_other_and_a_host_is_asked_gently(
    tmp_path: Path, client: egress.Client
) -> None:
    both = threading.Barrier(2, timeout=10)

    def answer(asked: Asked) -> Answer:
        both.wait()  # passes only where two are asked at once
        return Answer(body=KEV)

    with Web(answer) as one, Web(answer) as other, client:
        sources = [
            at(source_named("kev"), one.url),
            at(source_named("kev"), other.url, name="other", patterns=(("kev/*",),))._replace(
                downloads=(Download("other/file.json", f"{other.url}/x"),)
            ),
        ]
        mirror = online(tmp_path, sources, client)
    assert {name: fetch.changed for name, fetch in mirror.fetches.items()} == {"kev": 1, "other": 1}


def test_requests_to_one_host_begin_a_pause_apart(
    tmp_path: Path, client: egress.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(fetching.time, "sleep", waits.append)
    monkeypatch.setattr(fetching.time, "monotonic", lambda: 100.0)
    hosts = fetching._Hosts()
    for host in ("one", "one", "other", "one"):
        with hosts.turn(host, 6.0):
            pass
    assert waits == [0.0, 6.0, 0.0, 12.0]


def test_no_more_than_two_files_of_a_host_at_once(tmp_path: Path, client: egress.Client) -> None:
    lock, running, most = threading.Lock(), 0, 0
    third = threading.Event()

    def answer(asked: Asked) -> Answer:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
            if running > 2:
                third.set()
        third.wait(0.2)
        with lock:
            running -= 1
        return Answer(body=KEV)

    with Web(answer) as web, client:
        sources = [
            at(source_named("kev"), web.url, name=f"s{n}", pause=0.0)._replace(
                downloads=(Download(f"s{n}/file.json", f"{web.url}/{n}"),)
            )
            for n in range(5)
        ]
        online(tmp_path, sources, client)
    assert most == 2


def test_what_broke_off_is_gone_on_with_the_next_day(tmp_path: Path, client: egress.Client) -> None:
    data = KEV * (200_000 // len(KEV) + 1)

    def answer(asked: Asked) -> Answer:
        if "range" in asked.headers:
            start = int(asked.headers["range"].removeprefix("bytes=").rstrip("-"))
            where = {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"}
            return Answer(206, data[start:], where)
        return Answer(200, data[:150_000], {"ETag": '"one"'}, length=len(data))

    with Web(answer) as web, client:
        source = at(source_named("kev"), web.url)
        first = Fetcher(tmp_path, client).fetch(source)
        again = Fetcher(tmp_path, client).fetch(source)
    assert "broke off" in first.detail
    assert again == Fetch(changed=1, size=len(data), resumed=150_000)
    assert [path for path, _ in Mirror(tmp_path).files(source)] == [
        "kev/known_exploited_vulnerabilities.json"
    ]


def test_what_changed_since_the_last_build_is_remembered(tmp_path: Path) -> None:
    def heard(*sources: tuple[str, str, int]) -> dict[str, str]:
        made = [SourceInfo(name=name, sha256=sha256, records=records) for name, sha256, records in sources]
        return since_last_build(tmp_path / "state" / "built.json", made)

    assert heard(("a", "1", 10), ("b", "1", 10)) == {"a": "new", "b": "new"}
    assert heard(("a", "1", 10), ("b", "2", 1_250)) == {"a": "none", "b": "+1,240"}
    assert heard(("a", "", 0)) == {"a": "-10"}  # missing today: not forgotten
    assert heard(("a", "2", 10), ("b", "3", 1_249)) == {"a": "edited", "b": "-1"}
    (tmp_path / "state" / "built.json").write_bytes(b"{")
    assert heard(("a", "2", 10)) == {"a": "new"}
