"""``redoubt admission`` as a process: what strangers send to its port, and who is asked when somebody is away."""

from __future__ import annotations

import json
import signal
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from redoubt.model.scannedimage import ImageScan, ScannedImage
from redoubt.policies.alerts import Alert
from support.admission import CLUSTER, Secured, default, encoded, review, secured

BAD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "shop", "namespace": "stores"},
    "spec": {"containers": [{"name": "c", "image": "shop:latest"}]},
}


def pod(image: str) -> dict[str, Any]:
    return {**BAD, "spec": {"containers": [{"name": "c", "image": image}]}}


@contextmanager
def connected(made: Secured) -> Iterator[ssl.SSLSocket]:
    """A TLS connection as the API server makes it: with our CA, and no certificate of its own."""
    tls = ssl.create_default_context(cadata=made.certificates.authority.trusted.decode())
    with (
        socket.create_connection(("127.0.0.1", made.controller.port), timeout=30) as raw,
        tls.wrap_socket(raw, server_hostname="localhost") as wrapped,
    ):
        yield wrapped


def sent(made: Secured, *pieces: bytes) -> tuple[int, bytes]:
    """Bytes of one's own making; status and body, 0 where the connection just ends."""
    with connected(made) as wrapped:
        try:
            for piece in pieces:
                wrapped.sendall(piece)
        except OSError:
            pass  # it may have had enough
        got = b""
        try:
            while b"\r\n\r\n" not in got and (more := wrapped.recv(65536)):
                got += more
            head, _, body = got.partition(b"\r\n\r\n")
            size = int(
                dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:]).get(
                    b"content-length", b"0"
                )
            )
            while len(body) < size and (more := wrapped.recv(65536)):
                body += more
        except OSError:
            return 0, b""
        return (int(head.split(b" ")[1]), body) if head else (0, b"")


def head(path: str, length: int) -> bytes:
    return f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n".encode()


def asked(
    made: Secured, given: dict[str, Any], path: str = "/validate?timeout=10s", **more: Any
) -> dict[str, Any]:
    """The response of a review."""
    body = encoded(review(given, **more))
    status, told = sent(made, head(path, len(body)) + body)
    assert status == 200, told
    response: dict[str, Any] = json.loads(told)["response"]
    return response


@pytest.fixture(scope="module")
def running() -> Iterator[Secured]:
    """A controller without an API server that refuses "latest"."""
    with secured() as made:
        made.tell(default("Latest tag"))
        yield made


def test_strangers_bytes_end_nothing_and_are_told_what_is_wrong(running: Secured) -> None:
    body = encoded(review(BAD))
    for pieces, statuses in (
        ([head("/validate", len(body)) + body[:-50] + b" " * 50], {400}),  # truncated
        ([head("/validate", 10) + body], {400}),  # the length says less than there is
        ([head("/validate", 0)], {400}),
        ([b"POST /validate HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n"], {400}),
        ([b"POST /validate HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"], {400}),
        ([head("/validate", 60 << 20), *[b"x" * (1 << 20)] * 40], {413, 0}),
        ([b"\x00\xff" * 5000], {400, 0}),
        ([b"GET /validate HTTP/1.1\r\nHost: x\r\n\r\n"], {405}),
        ([head("/validate", 400_000) + b"[" * 400_000], {400}),
        ([head("/events", len(body)) + body], {200}),
    ):
        status, told = sent(running, *pieces)
        assert status in statuses, (pieces[0][:80], status, told[:200])
    response = asked(running, BAD)
    assert not response["allowed"]
    assert "Latest tag" in response["status"]["message"]


def test_a_length_that_lies_holds_nobody_up(running: Secured) -> None:
    body = encoded(review(BAD))
    with connected(running) as held:
        held.sendall(head("/validate", len(body) + 100) + body)
        assert not asked(running, BAD)["allowed"]
    assert asked(running, pod("shop:1"))["allowed"]


def test_huge_objects_are_judged(running: Secured) -> None:
    many = [{"name": f"c{at}", "image": "shop:1"} for at in range(10_000)]
    for given in (
        {**BAD, "spec": {"containers": [*many, {"name": "last", "image": "shop:latest"}]}},
        {**BAD, "metadata": {"name": "n", "annotations": {"a": "\u202e" * 300_000}}},
    ):
        assert not asked(running, given)["allowed"]
    assert (
        "last"
        in asked(running, {**BAD, "spec": {"containers": [*many, {"name": "last", "image": "x"}]}})["status"][
            "message"
        ]
    )


def test_what_was_refused_while_the_sensor_was_away_is_told_after_a_kill() -> None:
    with secured() as made:
        made.tell(default("Latest tag"))
        made.sensor_port.stop()
        for name in ("one", "two", "two"):
            assert not asked(made, {**BAD, "metadata": {"name": name, "namespace": "stores"}})["allowed"]
        folder = made.folder / "data" / "alerts"
        made.controller.until("alerts on the disk", lambda: _counts(folder) == {"one": 1, "two": 2})
        made.controller.stop(signal.SIGKILL)
        made.controller.start()
        made.sensor_port.start()
        told = {(each.deployment and each.deployment.name): each.enforcement_count for each in made.alerts(2)}
        assert told == {"one": 1, "two": 2}
        made.controller.until("an empty folder", lambda: not list(folder.iterdir()))


def _counts(folder: Path) -> dict[str, int]:
    """What waits there: names, and how often each was refused."""
    found = [
        each
        for path in folder.glob("[0-9]*.json")
        for each in msgspec.json.decode(path.read_bytes(), type=list[Alert])
    ]
    return {each.deployment.name: each.enforcement_count for each in found if each.deployment is not None}


def test_central_is_asked_where_the_sensor_is_away_and_the_setting_counts_where_both_are() -> None:
    with secured() as made:
        image = ScannedImage(id="sha256:" + "a" * 64, scan=ImageScan())
        made.central.images["docker.io/library/shop:1"] = image
        made.central_port.start()
        made.tell(default("Images with no scans"), central=made.central_port.address, at_deadline="DENY")
        made.sensor_port.stop()
        assert asked(made, pod("shop:1"))["allowed"]
        assert made.central.asked == [("docker.io/library/shop:1", False)]
        assert made.central.clusters == [CLUSTER]
        assert "Images with no scans" in asked(made, pod("unknown:1"))["status"]["message"]
        made.central_port.stop()
        response = asked(made, pod("another:1"))
        assert not response["allowed"]
        assert "not known in time" in response["status"]["message"]
        assert made.controller.reviews("deadline") == 1
        # What is kept goes on to count.
        assert asked(made, pod("shop:1"))["allowed"]


def test_the_deadline_is_the_api_servers_where_that_is_sooner() -> None:
    with secured() as made:
        made.tell(default("Images with no scans"), timeout_seconds=28)
        made.sensor_port.within(lambda: setattr(made.sensor, "slow", 25.0))
        response = asked(made, pod("shop:1"), "/validate?timeout=1s")
        assert response["allowed"]
        assert "not known in time" in response["warnings"][0]
        assert response["auditAnnotations"]["decision"] == "images not known in time"


def test_before_any_settings_reviews_fail_and_after_a_kill_they_do_not() -> None:
    with secured() as made:
        body = encoded(review(BAD))
        assert sent(made, head("/validate", len(body)) + body)[0] == 503
        assert sent(made, b"GET /ready HTTP/1.1\r\nHost: x\r\n\r\n")[0] == 503
        made.tell(default("Latest tag"))
        made.sensor_port.stop()
        made.controller.stop(signal.SIGKILL)
        made.controller.start()
        assert not asked(made, BAD)["allowed"]
        assert sent(made, b"GET /ready HTTP/1.1\r\nHost: x\r\n\r\n")[0] == 200
