"""Large structs in pieces: gRPC's messages stay small, and a slow reader holds one piece up, not the whole.

Bytes in, bytes out; it must not know what they say.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterator

from redoubt.errors import LimitExceeded, UnreadableInput

#: Bytes in a piece, at most.
CHUNK = 1 << 20
#: A report larger than this is refused, on both sides.
LARGEST = 512 << 20


def cut(data: bytes, size: int = CHUNK) -> Iterator[bytes]:
    """``data`` in pieces of at most ``size`` bytes; nothing for nothing."""
    view = memoryview(data)
    for at in range(0, len(data), size):
        yield bytes(view[at : at + size])


async def join(chunks: AsyncIterable[bytes], size: int, limit: int = LARGEST) -> bytes:
    """The whole of ``size`` bytes, as announced. Raises ``LimitExceeded`` and ``UnreadableInput``."""
    if size > limit:
        raise LimitExceeded(f"{size} bytes were announced, more than the limit of {limit}")
    whole = bytearray()
    async for chunk in chunks:
        whole += chunk
        if len(whole) > size:
            raise UnreadableInput(f"more came than the {max(size, 0)} bytes that were announced")
    if len(whole) != size:
        raise UnreadableInput(f"{len(whole)} bytes came of {size} that were announced")
    return bytes(whole)
