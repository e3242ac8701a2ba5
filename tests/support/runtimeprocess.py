"""A Sensor's runtime detection as a process, over stand-ins: its store is a file that the test wrote, its way to Central another.

    python -m support.runtimeprocess PORT CERTIFICATES STORE OUT

What it is asked to keep is on the disk before it acknowledges: to be killed at any time.
"""

from __future__ import annotations

import asyncio
import os
import struct
import sys
from pathlib import Path

import msgspec

from redoubt.sensor.runtime.surroundings import Place
from redoubt.wire.material import Files, Material
from redoubt.wire.proto.redoubt.v1.sensors_pb2 import FromSensor
from support.runtime import Sensor, Sent, Store

_LENGTH = struct.Struct("<I")


class Disk(Sent):
    """A file of messages, one after another."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._file = path.open("ab")

    async def put(self, *messages: FromSensor) -> None:
        for each in messages:
            data = each.SerializeToString()
            self._file.write(_LENGTH.pack(len(data)) + data)
        self._file.flush()
        os.fsync(self._file.fileno())


def read(path: Path) -> Sent:
    """What is in such a file, as far as it is whole."""
    sent, data, at = Sent(), path.read_bytes() if path.exists() else b"", 0
    while at + 4 <= len(data):
        (length,) = _LENGTH.unpack_from(data, at)
        if at + 4 + length > len(data):
            break
        sent.messages.append(FromSensor.FromString(data[at + 4 : at + 4 + length]))
        at += 4 + length
    return sent


def write_store(path: Path, *places: tuple[str, Place]) -> None:
    """Containers, and where they are."""
    path.write_bytes(msgspec.json.encode(places))


async def main(port: int, certificates: Path, store: Path, out: Path) -> None:
    """Serve."""
    known = Store()
    for container, place in msgspec.json.decode(store.read_bytes(), type=list[tuple[str, Place]]):
        known.containers[container] = place
    made = Sensor(known, Material(Files.within(certificates)), sent=Disk(out), grace=2.0, address_grace=0.2)
    await made.one.start("127.0.0.1", port)
    print("ready", flush=True)
    await made.runtime.run()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), *map(Path, sys.argv[2:5])))
