"""What strangers send to Central beside connections (``wire``) and JSON: uploads, and headers that are taken apart."""

from __future__ import annotations

import asyncio
import os
import zlib
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

from redoubt.central.api import files
from redoubt.central.auth import sources
from redoubt.central.probes.body import Body
from redoubt.central.refusals import InvalidArgument
from redoubt.cli.roxctl import probes
from targets.interface import Target, require_clean

_TRUSTED = sources.networks(["10.0.0.0/8", "fd00::/8"])


def _loop() -> asyncio.AbstractEventLoop:
    """One a process: a child that was forked would wait at the loop of its parent."""
    return _loop_of(os.getpid())


@cache
def _loop_of(process: int) -> asyncio.AbstractEventLoop:
    return asyncio.new_event_loop()


def _forwarded(data: bytes) -> int:
    peer, *values = data.decode("latin-1").split("\n")
    told = sources.source(peer, values, _TRUSTED)
    sources.group(told)
    return len(told)


@cache
def _file() -> tuple[TemporaryDirectory[str], Path]:
    folder = TemporaryDirectory()
    path = Path(folder.name, "a")
    path.write_bytes(b"0123456789")
    return folder, path


def _asked(data: bytes) -> int:
    """Headers of a request for a file, a line each."""
    lines = [line.partition(": ") for line in data.decode("latin-1").split("\n")]
    answer = files.answer({name.lower(): value for name, _, value in lines}, _file()[1], etag="e")
    require_clean(list(answer.headers.values()))
    if isinstance(answer, files.Stream):

        async def read() -> int:
            iterator = cast(Any, answer.iterator)
            return len(b"".join([piece async for piece in iterator]))

        size = _loop().run_until_complete(read())
        assert size == int(answer.headers["Content-Length"])
        return size
    return 1


def _probes(data: bytes) -> int:
    """Two bytes that say how long the manifest is, and the body of an upload of kernel support packages."""
    length, sent = int.from_bytes(data[:2], "big"), data[2:]
    with TemporaryDirectory() as folder:
        try:
            body = Body(Path(folder), length, len(sent))
        except InvalidArgument:
            return 0
        try:
            for at in range(0, len(sent), 7):
                body.feed(sent[at : at + 7])
            arrived = body.finish()
        except InvalidArgument as error:
            require_clean(str(error))
            return 0
        finally:
            body.close()
        for one in arrived:
            require_clean(one.name)
            assert one.path.stat().st_size == one.size
        return len(arrived)


def _upload() -> bytes:
    head = probes.manifest(
        [
            ("2.9.0/collector-5.4.0-1.ko.gz", 5, zlib.crc32(b"probe")),
            ("2.9.0-rc1/collector-ebpf-6.1.0.o.gz", 0, 0),
        ]
    )
    return len(head).to_bytes(2, "big") + head + b"probe"


TARGETS: dict[str, Target] = {
    "probe-upload": Target(_probes, lambda: [_upload()]),
    "forwarded": Target(_forwarded, lambda: [b"10.0.0.1\n1.2.3.4, [fd00::1]\nfe80::1%eth0,::ffff:10.0.0.2"]),
    "file-range": Target(
        _asked,
        lambda: [
            b"Range: bytes=1-3\nIf-Range: Thu, 26 Nov 2099 20:00:00 GMT",
            b'Range: bytes=-3\nIf-Range: "e"',
            b'If-None-Match: W/"f", "g"\nIf-Modified-Since: Thu, 26 Nov 2099 20:00:00 +0100',
        ],
    ),
}
