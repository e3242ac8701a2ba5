"""The only door to the outside."""

from __future__ import annotations

import ast
import gzip
import hashlib
import logging
import re
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate
from pathlib import Path
from types import SimpleNamespace

import pytest

from redoubt import egress
from redoubt.errors import AccessDenied, LimitExceeded, NetworkError, UnreadableInput, UsageError
from redoubt.wire.identity import Service
from redoubt.wire.material import Files, Material
from support.tls import Authority
from support.web import Answer, Asked, Web, script
from support.wire import Certificates, served

SRC = Path(egress.__file__).parent.parent
QUICK = egress.Retry(attempts=3, first=0.001, longest=0.002)
PATIENT = egress.Retry(attempts=5, first=0.001, longest=0.002)
ONCE = egress.Retry(attempts=1)


def client(**more: object) -> egress.Client:
    defaults: dict[str, object] = {"retry": QUICK, "timeout": 2.0, "policy": egress.Policy()}
    return egress.client(**(defaults | more))  # type: ignore[arg-type]


def outside(tree: ast.AST) -> set[str]:
    """What a module names that reaches other machines: clients' packages, and calls that open connections."""
    packages = {
        "socket",
        "httpx",
        "httpx2",
        "lightkube",
        "requests",
        "urllib3",
        "aiohttp",
        "smtplib",
        "ftplib",
        "grpclib",
        "telnetlib",
    }
    modules = {"urllib.request", "http.client", "xmlrpc.client"}
    calls = {"open_connection", "create_connection", "urlopen", "urlretrieve", "open_unix_connection"}
    found = set()
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Attribute) and node.attr in calls:
            found.add(node.attr)
        elif isinstance(node, ast.Name) and node.id in calls:
            found.add(node.id)
        found |= {n for n in names if n.partition(".")[0] in packages or n in modules}
    return found


@pytest.mark.parametrize(
    "text",
    [
        "import socket",
        "from httpx import Client",
        "import urllib.request as web",
        "from urllib import request",
        "def f():\n    from http.client import HTTPConnection",
        "import asyncio\nasyncio.open_connection('a', 1)",
        "urlopen('x')",
        "loop.create_connection(p)",
    ],
)
def test_the_check_sees_a_second_door(text: str) -> None:
    assert outside(ast.parse(text))


def test_nobody_else_opens_connections() -> None:
    found = {
        str(path.relative_to(SRC)): names
        for path in sorted(SRC.rglob("*.py"))
        if path.parent != SRC / "egress" and (names := outside(ast.parse(path.read_bytes())))
    }
    # Sockets to the kernel, and to nobody else.
    for name in ("collector/connector.py", "collector/sockets.py"):
        assert found.pop(name) == {"socket"}
        made = [
            ast.unparse(node.args[0])
            for node in ast.walk(ast.parse((SRC / name).read_bytes()))
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "socket.socket"
        ]
        assert made == ["socket.AF_NETLINK"]
    # The wire's names of gRPC's library open nothing, but for its channels: to services of ours, by configured address.
    wire = {name: found.pop(name) for name in list(found) if name.startswith("wire/")}
    opening = {name for name, names in wire.items() if any(not n.startswith("grpclib") for n in names)}
    assert opening == {"wire/channel.py", "wire/ports.py"}
    assert wire["wire/ports.py"] == {"socket"}  # binds, to find ports that are free
    # Addresses as text.
    text = {"socket", "socket.AF_INET", "socket.AF_INET6", "socket.inet_ntop"}
    assert found.pop("collector/records.py") == text
    # The API server of the cluster that we are in is not outside.
    assert {name.partition(".")[0] for name in found.pop("kubeapi.py")} == {"httpx2", "lightkube"}
    # Handlers name what the wire gives them to answer with, and no client's.
    for name in [
        name for name in found if name.startswith(("scanner/", "central/", "sensor/", "admission/"))
    ]:
        found[name] = {n for n in found[name] if not n.startswith("grpclib.") or "client" in n.lower()} - {
            "grpclib"
        }
    assert {name: names for name, names in found.items() if names} == {}


def test_the_http_library_is_loaded_only_when_something_is_sent() -> None:
    import subprocess

    code = "import sys, redoubt.egress, redoubt.indexer.sources; print('httpx' in sys.modules, 'ssl' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_body_within_the_limit_is_given() -> None:
    with Web(script(Answer(body=b"x" * 1000))) as web, client() as c:
        assert c.get_bytes(web.url, 1000) == b"x" * 1000
        assert web.asked[0].headers["user-agent"].startswith("redoubt/")


@pytest.mark.parametrize("headers", [{}, {"Content-Encoding": "gzip"}])
def test_body_over_the_limit_is_refused(headers: dict[str, str]) -> None:
    with (
        Web(script(Answer(body=b"x" * 1001, headers=headers))) as web,
        client() as c,
        pytest.raises(LimitExceeded, match="1001 bytes, more than the limit of 1000"),
    ):
        c.get_bytes(web.url, 1000)


def test_compressed_body_counts_as_unpacked(tmp_path: Path) -> None:
    bomb = gzip.compress(b"\0" * 50_000_000)
    with (
        Web(script(Answer(body=bomb, headers={"Content-Encoding": "gzip"}))) as web,
        client() as c,
        pytest.raises(LimitExceeded),
    ):
        egress.download(c, web.url, tmp_path / "file", limit=1_000_000)
    assert list(tmp_path.iterdir()) == []


def test_answers_that_ask_to_come_back_are_repeated() -> None:
    with (
        Web(script(Answer(503), Answer(429, headers={"Retry-After": "0"}), Answer(body=b"ok"))) as web,
        client() as c,
    ):
        assert c.get_bytes(web.url, 10) == b"ok"
        assert len(web.asked) == 3


def test_server_error_that_stays_is_a_network_error() -> None:
    with (
        Web(script(Answer(502))) as web,
        client() as c,
        pytest.raises(NetworkError, match="answered 502, 3 times"),
    ):
        c.get_bytes(web.url, 10)


def test_retry_after_longer_than_we_wait_is_said_and_not_waited_for() -> None:
    with Web(script(Answer(429, headers={"Retry-After": "86400"}))) as web, client() as c:
        with pytest.raises(NetworkError, match="asks to come back in 86400 seconds"):
            c.get_bytes(web.url, 10)
        assert len(web.asked) == 1


def test_retry_after_may_be_a_date() -> None:
    assert QUICK.delay(0, formatdate(time.time() + 60, usegmt=True)) == pytest.approx(60, abs=2)
    assert QUICK.delay(0, formatdate(time.time() - 60, usegmt=True)) == 0
    for nonsense in ("soon", "-5", "1e9", "\u0663", "Mon, 99 Foo 2020"):
        assert 0 <= QUICK.delay(0, nonsense) <= QUICK.longest


def test_waits_grow_and_stay_bounded() -> None:
    retry = egress.Retry(first=1.0, longest=10.0)
    assert 0.5 <= retry.delay(0) <= 1.0
    assert 2.0 <= retry.delay(2) <= 4.0
    assert 5.0 <= retry.delay(5000) <= 10.0


def test_body_that_breaks_off_is_asked_for_again() -> None:
    with Web(script(Answer(body=b"half", length=8), Answer(body=b"complete"))) as web, client() as c:
        assert c.get_bytes(web.url, 100) == b"complete"


def test_body_that_always_breaks_off_is_a_network_error() -> None:
    with Web(script(Answer(body=b"half", length=8))) as web, client() as c:
        with pytest.raises(NetworkError, match="broke off"):
            c.get_bytes(web.url, 100)
        assert len(web.asked) == 3


def test_authorization_stays_with_its_host() -> None:
    with Web(script(Answer(body=b"blob"))) as store:
        to = {"Location": f"{store.url}/blob?signature=secret"}
        with Web(
            lambda a: Answer(307, headers=to) if a.path == "/b" else Answer(302, headers={"Location": "/b"})
        ) as web:
            with (
                client() as c,
                c.send(f"{web.url}/a", headers={"Authorization": "Bearer t", "Range": "bytes=5-"}) as r,
            ):
                assert r.read(100) == b"blob"
                assert r.where == f"{store.url}/blob"
            assert [asked.headers.get("authorization") for asked in web.asked] == ["Bearer t", "Bearer t"]
        assert "authorization" not in store.asked[0].headers
        assert store.asked[0].headers["range"] == "bytes=5-"
        assert store.asked[0].path == "/blob?signature=secret"


def test_form_is_not_sent_to_another_host() -> None:
    with Web(script(Answer(body=b"x"))) as other:
        with (
            Web(script(Answer(307, headers={"Location": f"{other.url}/token"}))) as web,
            client() as c,
            pytest.raises(NetworkError, match="redirected to another host"),
        ):
            c.send(web.url, method="POST", form={"refresh_token": "hunter2"})
        assert other.asked == []


def test_form_follows_within_its_host() -> None:
    def answer(asked: Asked) -> Answer:
        return Answer(body=b"x") if asked.path == "/there" else Answer(307, headers={"Location": "/there"})

    with (
        Web(answer) as web,
        client() as c,
        c.send(web.url, method="POST", form={"a": "b"}) as response,
    ):
        assert response.read(10) == b"x"


def test_redirects_end() -> None:
    with Web(script(Answer(302, headers={"Location": "/again"}))) as web, client() as c:
        with pytest.raises(NetworkError, match="redirected more than 5 times"):
            c.get_bytes(web.url, 10)
        assert len(web.asked) == egress.MAX_REDIRECTS + 1


@pytest.mark.parametrize("place", ["ftp://127.0.0.1/x", "http://[bad", "file:///etc/passwd", "//:::/"])
def test_redirect_to_nowhere_is_a_network_error(place: str) -> None:
    with (
        Web(script(Answer(302, headers={"Location": place}))) as web,
        client() as c,
        pytest.raises(NetworkError),
    ):
        c.get_bytes(web.url, 10)


@pytest.mark.parametrize(
    "url", ["", "nonsense", "ftp://x/", "http://", "http://[::1", "http://a\x00b/", "file:///x"]
)
def test_unusable_address_is_a_network_error(url: str) -> None:
    with client(retry=ONCE) as c, pytest.raises(NetworkError):
        c.get_bytes(url, 10)


def test_messages_hold_no_secret() -> None:
    with Web(script(Answer(404))) as web, client() as c:
        url = f"http://me:hunter2@{web.host}/path?token=hunter2#hunter2"
        with pytest.raises(NetworkError) as caught:
            c.get_bytes(url, 10)
        assert str(caught.value) == f"{web.url}/path: answered 404"
        with pytest.raises(NetworkError) as caught:
            c.get_bytes(web.url, 10, headers={"Authorization": "Bearer hunter2\nX: y"})
        assert "hunter2" not in str(caught.value)


def test_the_librarys_log_is_silent(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with Web(script(Answer(body=b"x"))) as web, client() as c:
        c.get_bytes(f"{web.url}/?signature=hunter2", 10, headers={"Authorization": "Bearer hunter2"})
    assert "hunter2" not in caplog.text


def test_cookies_are_not_kept() -> None:
    with Web(script(Answer(headers={"Set-Cookie": "a=b; Path=/"}))) as web, client() as c:
        c.get_bytes(web.url, 10)
        c.get_bytes(web.url, 10)
        assert "cookie" not in web.asked[1].headers


def test_offline_mode_contacts_only_who_was_named() -> None:
    with Web(script(Answer(body=b"x"))) as web:
        with (
            client(policy=egress.Policy(offline=True)) as c,
            pytest.raises(NetworkError, match=r"offline mode: 127\.0\.0\.1 was not named"),
        ):
            c.get_bytes(web.url, 10)
        assert web.asked == []
        with client(policy=egress.Policy(offline=True).allowing("127.0.0.1")) as c:
            assert c.get_bytes(web.url, 10) == b"x"


def test_offline_mode_holds_for_redirects_too() -> None:
    with Web(script(Answer(body=b"x"))) as other:
        elsewhere = f"http://localhost:{other.host.partition(':')[2]}/"
        with (
            Web(script(Answer(302, headers={"Location": elsewhere}))) as web,
            client(policy=egress.Policy(offline=True).allowing("127.0.0.1")) as c,
            pytest.raises(NetworkError, match="offline mode: localhost"),
        ):
            c.get_bytes(web.url, 10)
        assert other.asked == []


@pytest.mark.parametrize(
    ("value", "offline"), [("1", True), ("yes", True), ("TRUE", True), ("0", False), ("", False)]
)
def test_offline_mode_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, value: str, offline: bool
) -> None:
    monkeypatch.setenv("REDOUBT_OFFLINE", value)
    monkeypatch.setenv("REDOUBT_ALLOWED_HOSTS", " A.example, b.example ,")
    assert egress.Policy.from_environment() == egress.Policy(offline, frozenset({"a.example", "b.example"}))


def test_proxy_of_the_environment_is_used_but_not_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("no_proxy", "NO_PROXY", "all_proxy", "ALL_PROXY", "https_proxy", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with Web(script(Answer(body=b"direct"))) as web, Web(script(Answer(body=b"by proxy"))) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        with client() as c:
            assert c.get_bytes("http://elsewhere.invalid/x", 10) == b"by proxy"
            assert c.get_bytes(web.url, 10) == b"direct"
        assert proxy.asked[0].path == "http://elsewhere.invalid/x"


def test_unusable_proxy_is_a_usage_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "gopher://user:hunter2@nowhere:1")
    with pytest.raises(UsageError, match="proxy") as caught:
        client()
    assert "hunter2" not in str(caught.value)


def test_ca_file_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("not a certificate")
    with pytest.raises(UnreadableInput, match="holds no certificate"):
        client(ca_file=tmp_path / "ca.pem")
    with pytest.raises(UnreadableInput, match="no such CA file"):
        client(ca_file=tmp_path / "missing.pem")


def test_download_replaces_the_file_and_says_what_it_is(tmp_path: Path) -> None:
    body = b"records" * 1000
    headers = {"ETag": '"v2"', "Last-Modified": "Sat, 01 Jan 2022 00:00:00 GMT", "Content-Encoding": "gzip"}
    target = tmp_path / "feed"
    target.write_bytes(b"old")
    with Web(script(Answer(503), Answer(body=gzip.compress(body), headers=headers))) as web, client() as c:
        done = egress.download(c, web.url, target, limit=10_000)
    assert target.read_bytes() == body
    assert done.changed
    assert done.size == len(body)
    assert done.sha256 == hashlib.sha256(body).hexdigest()
    assert (done.etag, done.modified) == ('"v2"', "Sat, 01 Jan 2022 00:00:00 GMT")
    assert [path.name for path in tmp_path.iterdir()] == ["feed"]


def test_download_of_what_has_not_changed_leaves_the_file(tmp_path: Path) -> None:
    def answer(asked: Asked) -> Answer:
        known = (
            asked.headers.get("if-none-match") == '"v1"' and asked.headers.get("if-modified-since") == "then"
        )
        return Answer(304) if known else Answer(body=b"new")

    target = tmp_path / "feed"
    target.write_bytes(b"old")
    with Web(answer) as web, client() as c:
        done = egress.download(c, web.url, target, limit=10, etag='"v1"', modified="then")
        assert done == egress.Downloaded(changed=False, etag='"v1"', modified="then")
        assert target.read_bytes() == b"old"
        assert egress.download(c, web.url, target, limit=10, etag='"v0"').changed
    assert target.read_bytes() == b"new"


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Answer(404), NetworkError),
        (Answer(403), AccessDenied),
        (Answer(304), NetworkError),
        (Answer(body=b"x" * 11), LimitExceeded),
        (Answer(body=b"x", length=9), NetworkError),
        (Answer(body=b"not gzip", headers={"Content-Encoding": "gzip"}), NetworkError),
    ],
)
def test_failed_download_leaves_the_old_file(tmp_path: Path, answer: Answer, error: type[Exception]) -> None:
    target = tmp_path / "feed"
    target.write_bytes(b"old")
    with Web(script(answer)) as web, client() as c, pytest.raises(error):
        egress.download(c, web.url, target, limit=10)
    assert target.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["feed"]


WHOLE = bytes(range(256)) * 1024


def resuming(asked: Asked, *, etag: str = '"one"', cut: int = 100_000) -> Answer:
    """A server that breaks off after ``cut`` bytes, and knows ranges."""
    sent = re.fullmatch(r"bytes=(\d+)-", asked.headers.get("range", ""))
    if sent is None or asked.headers.get("if-range") != etag:
        return Answer(200, WHOLE[:cut], {"ETag": etag}, length=len(WHOLE))
    start = int(sent[1])
    where = {"ETag": etag, "Content-Range": f"bytes {start}-{len(WHOLE) - 1}/{len(WHOLE)}"}
    return Answer(206, WHOLE[start : start + cut], where, length=len(WHOLE) - start)


def test_download_that_breaks_off_goes_on_from_there(tmp_path: Path) -> None:
    target = tmp_path / "feed"
    told: list[tuple[int, int]] = []
    with Web(resuming) as web, client(retry=PATIENT) as c:
        done = egress.download(c, web.url, target, limit=1 << 20, progress=lambda *at: told.append(at))
    assert target.read_bytes() == WHOLE
    assert (done.size, done.sha256) == (len(WHOLE), hashlib.sha256(WHOLE).hexdigest())
    assert done.resumed == 200_000
    assert [asked.headers.get("range") for asked in web.asked] == [None, "bytes=100000-", "bytes=200000-"]
    assert told[-1] == (len(WHOLE), len(WHOLE))
    assert [path.name for path in tmp_path.iterdir()] == ["feed"]


def test_another_process_goes_on_where_one_was_killed(tmp_path: Path) -> None:
    target = tmp_path / "feed"
    with Web(resuming) as web:
        with client(retry=ONCE) as c, pytest.raises(NetworkError):
            egress.download(c, web.url, target, limit=1 << 20)
        assert sorted(path.name for path in tmp_path.iterdir()) == [".feed.part", ".feed.part.json"]
        with client(retry=PATIENT) as c:
            assert egress.download(c, web.url, target, limit=1 << 20).resumed == 200_000
    assert target.read_bytes() == WHOLE


@pytest.mark.parametrize("change", ["file", "address", "no ranges", "too long"])
def test_a_rest_of_something_else_is_never_joined(tmp_path: Path, change: str) -> None:
    target = tmp_path / "feed"
    with Web(resuming) as web, client(retry=ONCE) as c, pytest.raises(NetworkError):
        egress.download(c, web.url, target, limit=1 << 20)

    def answer(asked: Asked) -> Answer:
        if change == "too long" and "range" in asked.headers:
            return Answer(416)
        if change == "file":
            return resuming(asked, etag='"two"', cut=1 << 20)
        return Answer(200, WHOLE, {"ETag": '"one"'})

    with Web(answer) as other, client() as c:
        url = other.url if change == "address" else web.url.replace(web.host, other.host)
        about = tmp_path / ".feed.part.json"
        if change != "address":  # as if it were the same server
            about.write_bytes(about.read_bytes().replace(web.host.encode(), other.host.encode()))
        assert egress.download(c, url, target, limit=1 << 20).resumed == 0
    assert target.read_bytes() == WHOLE


def test_a_part_whose_notes_are_damaged_is_begun_again(tmp_path: Path) -> None:
    target = tmp_path / "feed"
    (tmp_path / ".feed.part").write_bytes(b"x" * 100_000)
    for notes in (b"", b"{", b'{"url": 1}', b"\xff"):
        (tmp_path / ".feed.part.json").write_bytes(notes)
        with Web(script(Answer(200, WHOLE))) as web, client() as c:
            assert egress.download(c, web.url, target, limit=1 << 20).resumed == 0
        assert target.read_bytes() == WHOLE


def test_a_limit_holds_for_what_arrived_before_as_well(tmp_path: Path) -> None:
    with Web(resuming) as web, client(retry=PATIENT) as c, pytest.raises(LimitExceeded):
        egress.download(c, web.url, tmp_path / "feed", limit=150_000)
    assert list(tmp_path.iterdir()) == []


def test_two_downloads_of_one_file_at_once_both_give_the_whole(tmp_path: Path) -> None:
    target = tmp_path / "feed"
    with (
        Web(script(Answer(200, WHOLE, {"ETag": '"one"'}))) as web,
        client() as c,
        ThreadPoolExecutor(4) as pool,
    ):
        jobs = [pool.submit(egress.download, c, web.url, target, limit=1 << 20) for _ in range(8)]
        assert all(job.result().size == len(WHOLE) for job in jobs)
    assert target.read_bytes() == WHOLE
    assert [path.name for path in tmp_path.iterdir()] == ["feed"]


def test_crawling_body_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time is made to run: each look at the clock is ten seconds later."""
    clock = iter(range(0, 10**9, 10))
    with Web(script(Answer(body=b"x" * 300_000))) as web, client() as c, c.send(web.url) as response:
        monkeypatch.setattr(egress, "_CRAWL", 10**9)
        monkeypatch.setattr(egress, "time", SimpleNamespace(monotonic=lambda: next(clock)))
        with pytest.raises(egress.ConnectionBroken, match="too slow"):
            for _ in response.chunks():
                pass


@pytest.mark.parametrize("body", [b"some bytes", lambda: iter([b"some ", b"bytes"])])
def test_what_is_sent_is_given_anew_for_each_try(body: egress.Content) -> None:
    with Web(script(Answer(503), Answer())) as web, client() as c:
        with c.send(web.url, method="POST", content=body, headers={"Content-Length": "10"}) as response:
            assert response.status == 200
        assert [asked.body for asked in web.asked] == [b"some bytes"] * 2


@pytest.mark.parametrize("status", [302, 307, 308])
def test_what_is_sent_is_not_taken_elsewhere(status: int) -> None:
    with Web(script(Answer(status, headers={"Location": "/there"}), Answer())) as web, client() as c:
        with pytest.raises(NetworkError, match="redirected what was sent"):
            c.send(web.url, method="POST", content=b"some bytes")
        assert len(web.asked) == 1


def test_a_body_that_cannot_be_read_ends_the_request_with_its_own_error() -> None:
    def broken() -> Iterator[bytes]:
        yield b"some"
        raise UnreadableInput("the file is gone")

    with (
        Web(script(Answer())) as web,
        client() as c,
        pytest.raises(UnreadableInput, match="the file is gone"),
    ):
        c.send(web.url, method="POST", content=broken)


def test_a_client_certificate_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cert.pem").write_text("nothing")
    for certificate, message in (
        (tmp_path / "none.pem", "no such"),
        (tmp_path / "cert.pem", "is no certificate"),
    ):
        with pytest.raises(UnreadableInput, match=message):
            client(client_certificate=(certificate, tmp_path / "cert.pem"))


def test_the_last_answer_is_returned_where_its_body_matters() -> None:
    with (
        Web(script(Answer(503), Answer(503, b"why"))) as web,
        client() as one,
        one.send(web.url, last_answer=True) as response,
    ):
        assert (response.status, response.read(100)) == (503, b"why")
    assert len(web.asked) == 3


def test_a_body_of_unknown_length_goes_in_chunks() -> None:
    with Web(script(Answer())) as web, client() as one:
        one.send(web.url, method="POST", content=lambda: iter([b"one", b"two"])).close()
    assert web.asked[0].body == b"onetwo"


def test_a_server_is_known_by_another_name_than_its_address(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with Web(script(Answer()), authority.context("central.stackrox")) as web:
        with client(ca_file=authority.file, server_name="central.stackrox") as one:
            one.send(web.url).close()
        with client(ca_file=authority.file) as one, pytest.raises(egress.Untrusted, match="not valid for"):
            one.send(web.url)


def test_the_servers_certificate_is_shown(tmp_path: Path) -> None:
    from cryptography import x509

    authority = Authority(tmp_path)
    with (
        Web(script(Answer()), authority.context("127.0.0.1")) as web,
        client(insecure=True) as one,
        one.send(web.url) as response,
    ):
        certificate = x509.load_der_x509_certificate(response.certificate)
    assert certificate.issuer.rfc4514_string() == "CN=Test CA"
    with Web(script(Answer())) as web, client() as one, one.send(web.url) as response:
        assert response.certificate == b""


def test_a_service_proves_who_it_is_to_another_whose_name_it_is_reached_by_elsewhere(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)
    certificates.authority.issue(Service.CENTRAL).write(tmp_path / "server")
    server = Files.within(tmp_path / "server")
    own = certificates.files(Service.SCANNER_V4_MATCHER)
    name = Service.CENTRAL.hosts()[-1]
    known = {"only_ca": True, "client_certificate": (own.certificate, own.key)}
    with served(Material(server)) as central:
        url = f"https://127.0.0.1:{central.port}/"
        with client(ca_file=own.trusted, server_name=name, **known) as c:
            assert c.get_bytes(url, 1000) == b"SCANNER_V4_MATCHER_SERVICE: Scanner V4 Matcher sent 0"
        with client(ca_file=own.trusted[0], **known) as c, pytest.raises(egress.Untrusted):
            c.get_bytes(url, 1000)  # the address is not in the certificate
        with client(only_ca=True, server_name=name) as c, pytest.raises(egress.Untrusted):
            c.get_bytes(url, 1000)
        foreign = Certificates(tmp_path / "foreign").files(Service.CENTRAL)
        spoilt = known | {"client_certificate": (foreign.certificate, foreign.key)}
        with client(ca_file=own.trusted, server_name=name, **spoilt) as c, pytest.raises(NetworkError):
            c.get_bytes(url, 1000)
