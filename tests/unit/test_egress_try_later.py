"""What may succeed later is told apart from what will not, also over the wire, with the time that the server asked for."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from redoubt import egress
from redoubt.egress import ConnectionBroken, Retry, Unreachable
from redoubt.errors import NetworkError, TryLater
from redoubt.wire import failures
from support.web import Answer, Web

ONCE = Retry(attempts=1)
QUICK = Retry(attempts=2, first=0.001, longest=0.001, patience=0.5)


@contextmanager
def talking(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server that does ``answer`` with each connection, after the request's first bytes."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(65536)
                    answer(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def stall(connection: socket.socket) -> None:
    connection.recv(1)  # until the other side gives up


def half(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")


def asked(url: str, retry: Retry = ONCE) -> NetworkError:
    with egress.client(policy=egress.Policy(), timeout=0.2, retry=retry) as client:
        with pytest.raises(NetworkError) as failed:
            client.get_bytes(url, 1000)
        return failed.value


@pytest.mark.parametrize("answer", [reset, stall, half], ids=["reset", "stalls", "ends early"])
def test_a_connection_that_breaks_off_or_stands_still(answer: Callable[[socket.socket], None]) -> None:
    with talking(answer) as url:
        assert isinstance(asked(url), TryLater)
        assert isinstance(asked(url, QUICK), TryLater)


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_an_answer_that_asks_to_come_back_and_when(status: int) -> None:
    with Web(lambda _: Answer(status, b"", {"Retry-After": "7"})) as web:
        for retry in (ONCE, QUICK):  # it is not waited for so long here
            error = asked(web.url, retry)
            assert isinstance(error, TryLater)
            assert error.after == 7.0
        assert len(web.asked) == 2
    with Web(lambda _: Answer(status)) as web:
        error = asked(web.url, QUICK)
        assert isinstance(error, TryLater)
        assert (error.after, len(web.asked)) == (0.0, 2)


def test_what_will_not_pass_by_itself() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        nobody = f"http://127.0.0.1:{server.getsockname()[1]}/"
    error = asked(nobody)
    assert isinstance(error, Unreachable)
    assert not isinstance(error, TryLater)
    with Web(lambda asked: Answer(404 if "404" in asked.path else 501)) as web:
        for path in ("/404", "/501"):
            assert not isinstance(asked(web.url + path), TryLater)


@pytest.mark.parametrize(
    ("error", "after"),
    [(TryLater("slowly", 7.5), 7.5), (TryLater("slowly"), 0.0), (ConnectionBroken("cut"), 0.0)],
)
def test_over_the_wire_it_stays_what_it_is(error: TryLater, after: float) -> None:
    told = failures.error(failures.status(error))
    assert type(told) is TryLater
    assert (str(told), told.after) == (str(error), after)


@pytest.mark.parametrize("lie", [float("nan"), -1.0])
def test_a_time_that_is_none_is_none(lie: float) -> None:
    told = failures.error(failures.status(TryLater("x", lie)))
    assert isinstance(told, TryLater)
    assert told.after == 0.0
