"""Finding a source's files by asking upstream where they are today."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from redoubt import egress
from redoubt.definitions import fetching
from redoubt.definitions.build import build
from redoubt.definitions.fetching import Fetcher, online
from redoubt.definitions.mirror import Mirror
from redoubt.definitions.sources import repomd
from redoubt.definitions.sources.interface import Discovered, Download, Get
from redoubt.definitions.sources.updateinfo import discover_amazon, discover_rocky
from redoubt.errors import AccessDenied, NetworkError, RedoubtError, UnreadableInput
from support.feeds import FIXTURES, source_named
from support.web import Answer, Asked, Web

CDN = "https://cdn.amazonlinux.com"
REPOMD = """<?xml version="1.0" encoding="UTF-8"?>
<repomd xmlns="http://linux.duke.edu/metadata/repo" xmlns:rpm="http://linux.duke.edu/metadata/rpm">
 <revision>4079663821</revision>
 <data type="primary"><checksum type="sha256">00</checksum><location href="repodata/primary.xml.gz"/></data>
 <data type="updateinfo"><checksum type="sha256">00</checksum><location href="{}"/></data>
</repomd>
"""
WITHOUT = REPOMD.replace("updateinfo", "group").format("repodata/comps.xml")


def answering(pages: dict[str, str | RedoubtError]) -> Get:
    """Answers with these pages; everything else is not there."""

    def get(url: str) -> bytes:
        page = pages.get(url, egress.Missing(f"{url}: answered 404"))
        if isinstance(page, RedoubtError):
            raise page
        return page.encode()

    return get


@pytest.mark.parametrize("href", ["repodata/updateinfo.xml.gz", "repodata/0a-updateinfo.xml.gz"])
@pytest.mark.parametrize(
    "base", ["https://a.example/2/core/x86_64/0a0a", "https://a.example/2/core/x86_64/0a0a/"]
)
def test_a_mirror_list_leads_to_the_updateinfo(href: str, base: str) -> None:
    get = answering(
        {
            "https://a.example/mirror.list": f"{base}\n",
            "https://a.example/2/core/x86_64/0a0a/repodata/repomd.xml": REPOMD.format(href),
        }
    )
    found = repomd.of_mirrors(get, "x/updateinfo.xml.gz", "https://a.example/mirror.list", "x86_64")
    assert found == Download("x/updateinfo.xml.gz", f"https://a.example/2/core/x86_64/0a0a/{href}")


def test_the_next_mirror_is_asked_where_one_does_not_answer_and_the_architecture_is_filled_in() -> None:
    get = answering(
        {
            "https://a.example/mirror.list": "https://gone.example/$basearch/\nhttps://b.example/$basearch/\n",
            "https://b.example/x86_64/repodata/repomd.xml": REPOMD.format("repodata/u.xml.gz"),
        }
    )
    found = repomd.of_mirrors(get, "u", "https://a.example/mirror.list", "x86_64")
    assert found == Download("u", "https://b.example/x86_64/repodata/u.xml.gz")


@pytest.mark.parametrize(
    ("pages", "error", "words"),
    [
        ({}, egress.Missing, "404"),
        ({"https://a.example/l": ""}, UnreadableInput, "names no mirror"),
        ({"https://a.example/l": "<html>\nnot a list\n"}, UnreadableInput, "names no mirror"),
        ({"https://a.example/l": "http://a.example/plain\nftp://a.example/"}, UnreadableInput, "names no mirror"),
        ({"https://a.example/l": "https://[broken\nhttps://a.example/\u202e"}, UnreadableInput, "names no mirror"),
        ({"https://a.example/l": "https://b.example/"}, egress.Missing, "404"),
        ({"https://a.example/l": "https://b.example/", "https://b.example/repodata/repomd.xml": "<html/>"}, UnreadableInput, "no repomd"),
        ({"https://a.example/l": "https://b.example/", "https://b.example/repodata/repomd.xml": "<repomd"}, UnreadableInput, "XML"),
        ({"https://a.example/l": "https://b.example/", "https://b.example/repodata/repomd.xml": REPOMD.format("file:///etc/passwd")}, UnreadableInput, "not followed"),
        ({"https://a.example/l": "https://b.example/", "https://b.example/repodata/repomd.xml": REPOMD.format("http://b.example/u")}, UnreadableInput, "not followed"),
        ({"https://a.example/l": "https://b.example/", "https://b.example/repodata/repomd.xml": REPOMD.format("https://x]].example/u")}, UnreadableInput, "no address"),
    ],
)  # fmt: skip
def test_what_does_not_lead_on_is_an_error_that_says_where(
    pages: dict[str, str | RedoubtError], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        repomd.of_mirrors(answering(pages), "u", "https://a.example/l", "x86_64")


def test_a_repository_without_updateinfo_has_none() -> None:
    get = answering({"https://a.example/repodata/repomd.xml": WITHOUT})
    assert repomd.of_repository(get, "u", "https://a.example") is None


def amazon(core: str = "core/latest/x86_64", base: str = f"{CDN}/2/core/0a") -> dict[str, str | RedoubtError]:
    return {
        f"{CDN}/2/{core}/mirror.list": base,
        f"{base}/repodata/repomd.xml": REPOMD.format("repodata/updateinfo.xml.gz"),
    }


def test_amazons_repositories_and_extras_are_found_and_what_is_not_is_named() -> None:
    pages: dict[str, str | RedoubtError] = {
        **amazon(),
        **amazon("extras/docker/latest/x86_64", f"{CDN}/2/extras/docker/0b"),
        f"{CDN}/2/extras/quiet/latest/x86_64/mirror.list": f"{CDN}/2/extras/quiet/0c",
        f"{CDN}/2/extras/quiet/0c/repodata/repomd.xml": WITHOUT,
        f"{CDN}/2/extras/broken/latest/x86_64/mirror.list": NetworkError("broken: answered 500"),
        f"{CDN}/2/extras/denied/latest/x86_64/mirror.list": AccessDenied("denied"),
        f"{CDN}/2/extras-catalog.json": '{"topics": [{"n": "docker", "inst": []}, {"n": "quiet"}, {"n": "gone"},'
        ' {"n": "broken"}, {"n": "denied"}, {"n": "../up"}, {"n": ".."}, {"n": ""}, {}]}',
        "http://repo.us-west-2.amazonaws.com/2018.03/updates/x86_64/mirror.list": "http://packages.example/0d",
        "http://packages.example/0d/repodata/repomd.xml": REPOMD.format("repodata/updateinfo.xml.gz"),
    }
    found = discover_amazon(answering(pages))
    assert [download.path for download in found.downloads] == [
        "amazon/1/updates/updateinfo.xml.gz",
        "amazon/2/core/updateinfo.xml.gz",
        "amazon/2/extras/docker/updateinfo.xml.gz",
    ]
    # Amazon Linux 2022 may be gone for good; 2023 may not.
    assert [trouble.partition(" ")[0] for trouble in found.troubles] == [
        f"{CDN}/al2023/core/mirrors/latest/x86_64/mirror.list:",
        f"{CDN}/al2023/kernel-livepatch/mirrors/latest/x86_64/mirror.list:",
        "broken:",
    ]


@pytest.mark.parametrize("catalog", ["", "[]", '{"topics": {}}', "[" * 100_000])
def test_a_catalogue_of_extras_that_cannot_be_read_costs_the_extras_only(catalog: str) -> None:
    found = discover_amazon(answering({**amazon(), f"{CDN}/2/extras-catalog.json": catalog}))
    assert [download.path for download in found.downloads] == ["amazon/2/core/updateinfo.xml.gz"]
    assert "is not the catalogue of extras" in found.troubles[-1]


def test_rockys_releases_are_looked_for_in_both_places() -> None:
    pub, vault = "https://download.rockylinux.org/pub/rocky/", "https://dl.rockylinux.org/vault/rocky/"
    listing = '<a href="../">../</a> <a href="{}/">x</a> <a href="9/">9/</a> <a href="/pub/rocky/8.10/">y</a>'
    at = "AppStream/x86_64/os/repodata/repomd.xml"
    there = REPOMD.format("repodata/u.xml.gz")
    pages: dict[str, str | RedoubtError] = {
        pub: listing.format("9.6"),
        vault: listing.format("9.4"),
        f"{pub}9.6/{at}": there,
        f"{vault}8.10/{at}": there,
        f"{vault}9.4/{at}": there,
    }
    found = discover_rocky(answering(pages))
    assert {download.path: download.url for download in found.downloads} == {
        "rocky/9.6/AppStream/x86_64/updateinfo.xml.gz": f"{pub}9.6/AppStream/x86_64/os/repodata/u.xml.gz",
        "rocky/8.10/AppStream/x86_64/updateinfo.xml.gz": f"{vault}8.10/AppStream/x86_64/os/repodata/u.xml.gz",
        "rocky/9.4/AppStream/x86_64/updateinfo.xml.gz": f"{vault}9.4/AppStream/x86_64/os/repodata/u.xml.gz",
    }
    assert found.troubles == ()
    assert [trouble.partition(" ")[0] for trouble in discover_rocky(answering({pub: "<html>"})).troubles] == [
        pub,
        f"{vault}:",
    ]


@pytest.mark.parametrize("discover", [discover_amazon, discover_rocky])
def test_whatever_is_found_is_what_the_source_reads(
    discover: Callable[[Get], Discovered], tmp_path: Path
) -> None:
    pages = {f"{CDN}/2/extras-catalog.json": '{"topics": [{"n": "docker"}]}'}

    def get(url: str) -> bytes:
        if url.endswith("repomd.xml"):
            return REPOMD.format("repodata/updateinfo.xml.zst").encode()
        return pages.get(url, 'https://x.example/0a\nhref="9.4/"').encode()

    found = discover(get)
    assert len(found.downloads) > 5
    name = found.downloads[0].path.partition("/")[0]
    for download in found.downloads:
        (tmp_path / download.path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / download.path).write_bytes(b"x")
    (tmp_path / found.downloads[0].path).with_name(".updateinfo.xml.gz.7.7.part").write_bytes(b"x")
    read = {path for path, _ in Mirror(tmp_path).files(source_named(name))}
    assert read == {download.path for download in found.downloads}


# Against a server


@pytest.fixture
def client() -> egress.Client:
    return egress.client(policy=egress.Policy(), retry=egress.Retry(attempts=1), timeout=5)


def of(web: Web | str, folder: str = "amazon/2/core") -> Callable[[Get], Discovered]:
    base = web if isinstance(web, str) else web.url

    def discover(get: Get) -> Discovered:
        try:
            found = repomd.of_mirrors(get, f"{folder}/updateinfo.xml.gz", f"{base}/mirror.list", "x86_64")
        except RedoubtError as error:
            return Discovered((), (str(error),))
        return Discovered((found,) if found else ())

    return discover


def test_discovered_files_are_fetched_and_fetched_again_when_their_address_changes(
    tmp_path: Path, client: egress.Client
) -> None:
    body = (FIXTURES / "amazon" / "2" / "core" / "updateinfo.xml").read_bytes()
    today = "0a"

    def answer(asked: Asked) -> Answer:
        match asked.path:
            case "/mirror.list":
                return Answer(body=f"{web.url}/{today}\n".encode())
            case path if path == f"/{today}/repodata/repomd.xml":
                return Answer(body=REPOMD.format(f"repodata/{today}-updateinfo.xml.gz").encode())
            case path if path == f"/{today}/repodata/{today}-updateinfo.xml.gz":
                same = asked.headers.get("if-none-match") == f'"{today}"'
                return Answer(304) if same else Answer(body=body, headers={"ETag": f'"{today}"'})
        return Answer(404)

    now = datetime(2099, 1, 2, 3, 4, 5, tzinfo=UTC)
    with Web(answer) as web, client:
        source = source_named("amazon")._replace(discover=of(web))
        changes = [Fetcher(tmp_path, client, now=now).fetch(source).changed for _ in range(2)]
        today = "0b"
        changes.append(Fetcher(tmp_path, client, now=now).fetch(source).changed)
    assert changes == [1, 0, 1]
    filled = Mirror(tmp_path)
    assert [path for path, _ in filled.files(source)] == ["amazon/2/core/updateinfo.xml.gz"]
    assert filled.fetched(source) == ("2099-01-02T03:04:05Z", '"0b"')
    with build(filled, ["amazon"]) as built:
        assert built.namespaces == {"amazon:2": 2}


def test_a_source_that_cannot_say_where_its_files_are_keeps_what_it_had_and_is_stale(
    tmp_path: Path, client: egress.Client
) -> None:
    file = tmp_path / "amazon" / "2" / "core" / "updateinfo.xml.gz"
    file.parent.mkdir(parents=True)
    file.write_bytes((FIXTURES / "amazon" / "2" / "core" / "updateinfo.xml").read_bytes())
    with Web(lambda _: Answer(500)) as web, client:
        filled = online(tmp_path, [source_named("amazon")._replace(discover=of(web))], client)
    assert "answered 500" in filled.fetches["amazon"].detail
    with build(filled, ["amazon"]) as built:
        assert (built.sources[0].state, built.namespaces) == ("stale", {"amazon:2": 2})


def test_a_host_that_does_not_answer_is_asked_once(tmp_path: Path, client: egress.Client) -> None:
    with Web(lambda _: Answer()) as web:
        gone = web.url
    asked: list[str] = []

    def discover(get: Get) -> Discovered:
        troubles = []
        for path in ("a", "b", "c"):
            try:
                get(f"{gone}/{path}")
            except RedoubtError as error:
                troubles.append(str(error))
        asked.extend(troubles)
        return Discovered((Download("amazon/2/core/updateinfo.xml.gz", f"{gone}/d"),), tuple(troubles))

    with client:
        got = Fetcher(tmp_path, client).fetch(source_named("amazon")._replace(discover=discover))
    assert "cannot connect" in asked[0]
    assert ["does not answer" in trouble for trouble in asked] == [False, True, True]
    assert got.changed == 0
    assert "(and 3 more of 4 files)" in got.detail


def test_an_upstream_that_leads_on_and_on_is_left(
    tmp_path: Path, client: egress.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "_MAX_QUESTIONS", 3)

    def discover(get: Get) -> Discovered:
        while True:
            try:
                get(f"{web.url}/")
            except RedoubtError as error:
                return Discovered((), (str(error),))

    with Web(lambda _: Answer(body=b"x")) as web, client:
        got = Fetcher(tmp_path, client).fetch(source_named("amazon")._replace(discover=discover))
        assert len(web.asked) == 3
    assert "more than 3 documents" in got.detail


def test_a_document_that_is_too_large_is_not_read(tmp_path: Path, client: egress.Client) -> None:
    with Web(lambda _: Answer(body=b"x", length=64 << 20)) as web, client:
        got = Fetcher(tmp_path, client).fetch(source_named("amazon")._replace(discover=of(web)))
    assert "limit" in got.detail


def test_a_missing_document_is_told_from_a_failing_server(client: egress.Client) -> None:
    with Web(lambda asked: Answer(int(asked.path[1:]))) as web, client:
        for status in (404, 410):
            with pytest.raises(egress.Missing, match=f"answered {status}"):
                client.get_bytes(f"{web.url}/{status}", 10)
        with pytest.raises(NetworkError) as caught:
            client.get_bytes(f"{web.url}/418", 10)
        assert not isinstance(caught.value, egress.Missing)
