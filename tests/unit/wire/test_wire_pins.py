"""The parts of grpclib, h2 and uvicorn that are not promised to anybody, and that the one port stands on.

Where one of these fails after an update, read what changed before mending it: ``docs/decisions``, one port.
"""

from __future__ import annotations

import inspect
from importlib.metadata import version

from grpclib.client import Channel
from grpclib.client import Handler as ClientHandler
from grpclib.events import _DispatchServerEvents
from grpclib.protocol import Connection, EventsProcessor, H2Protocol, Stream
from grpclib.server import Handler, request_handler
from grpclib.server import Stream as ServerStream
from h2.connection import H2Connection
from h2.frame_buffer import FrameBuffer
from h2.settings import Settings
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState


def parameters(of: object) -> list[str]:
    return [name for name in inspect.signature(of).parameters if name != "self"]  # type: ignore[arg-type]


def test_versions_are_those_that_were_read() -> None:
    assert version("grpclib").startswith("0.4.")
    assert version("uvicorn").startswith("0.54.")
    assert version("h2").startswith("4.")


def test_what_is_constructed_takes_what_we_give() -> None:
    assert parameters(Handler) == ["mapping", "codec", "status_details_codec", "dispatch"]
    assert parameters(H2Protocol) == ["handler", "config", "h2_config"]
    assert parameters(Connection) == ["connection", "transport", "config"]
    assert parameters(EventsProcessor) == ["handler", "connection"]
    assert parameters(HttpToolsProtocol) == ["config", "server_state", "app_state", "_loop"]
    assert parameters(_DispatchServerEvents) == []
    assert parameters(ServerState) == []
    assert parameters(FrameBuffer) == ["server"]
    assert parameters(Settings) == ["client", "initial_values"]


def test_what_is_overridden_is_still_called() -> None:
    assert "_receive_goaway_frame" in inspect.getsource(H2Connection)
    assert "self.incoming_buffer" in inspect.getsource(H2Connection.receive_data)
    assert "self._data" in inspect.getsource(FrameBuffer.__next__)
    assert "self.connection.create_stream(" in inspect.getsource(EventsProcessor.process_request_received)
    assert "self.register(" in inspect.getsource(EventsProcessor.process_request_received)
    assert "self.handler.cancel(" in inspect.getsource(EventsProcessor.process_stream_reset)
    assert "connection.get_peer()" in inspect.getsource(inspect.getmodule(request_handler))  # type: ignore[arg-type]
    assert "_tasks[stream]" in inspect.getsource(Handler.accept)
    assert "_create_connection" in inspect.getsource(Channel.__connect__)
    assert "connection_lost" in inspect.getsource(Channel._connected.fget)  # type: ignore[attr-defined]
    assert hasattr(ClientHandler, "connection_lost")
    assert "self._method_name = method_name" in inspect.getsource(ServerStream.__init__)
    assert "write_ready" in inspect.getsource(Stream.send_data)


def test_uvicorn_still_calls_back_as_it_did() -> None:
    source = inspect.getsource(HttpToolsProtocol)
    for name in (
        "on_message_begin",
        "on_url",
        "on_header",
        "on_headers_complete",
        "on_message_complete",
        "shutdown",
    ):
        assert callable(getattr(HttpToolsProtocol, name))
    assert "self.send_400_response(" in source
    assert "self.app_state.copy()" in source
    assert "response_started" in inspect.getsource(RequestResponseCycle)
    for name in ("connections", "tasks", "default_headers"):
        assert hasattr(ServerState(), name)
