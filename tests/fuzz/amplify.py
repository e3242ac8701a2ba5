"""What costs more than its size: a target's seeds, each part of them made large in turn, timed at two sizes.

    python tests/fuzz/amplify.py [TARGET …]       says which inputs cost more than in proportion, and the memory they take

A fuzzer that looks for new lines of code seldom finds that a parser's time grows with the square of its input: a
line that is repeated, a word that is long or a bracket that is never closed has to be repeated ten thousand times.
Each input is read in a process of its own, with a limit on its time.
"""

from __future__ import annotations

import json
import os
import re
import resource
import struct
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

if __name__ == "__main__":
    _HERE = Path(__file__).parent
    sys.path[:0] = [
        str(_HERE),
        str(_HERE.parent),
        str(_HERE.parents[1] / "src"),
        str(_HERE.parents[1] / "scripts"),
    ]

from targets import TARGETS

SMALL, LARGE = 64 << 10, 256 << 10
#: How much more four times as much may take, and the least time (CPU seconds) that is judged.
FACTOR, LEAST = 7.0, 0.03
#: CPU seconds after which an input hangs.
HANGS = 60
_FILLS = (
    b"[", b"{", b"(", b'"', b"'", b"\\", b"\n", b"\0", b" ", b"\t", b"a", b"0", b"-", b".", b",", b":", b"=", b"<", b"#", b"%", b"$",
    b"\xff", b"a.", b".a", b"a:", b"a=", b"- ", b"a,", b"a\n", b" a\n", b"\n ", b"<a>", b"[{", b'{"a":', b"a b ", b"\\\n", b"\r", b'""',
    b"((a", b"||", b"a@", b"@a", b"/a", b"../", b"1.", b"~>", b"&a;", b"*", b"\n\n", b"a: b\n", b"a=b\n", b'"a":1,', b"a;", b"{{", b"-a",
)  # fmt: skip
_TOKEN = re.compile(rb"[A-Za-z0-9_]+|[^A-Za-z0-9_]")
_PLACES = 12


class Shape(NamedTuple):
    """How an input of any size is made of a seed; ``name`` says it to a person."""

    name: str
    make: Callable[[int], bytes]


class Cost(NamedTuple):
    """CPU seconds for a ``SMALL`` and a ``LARGE`` input, and bytes of memory that these took beyond the input."""

    small: float
    large: float
    memory: int

    @property
    def grows(self) -> bool:
        """Whether it is more than in proportion to the size."""
        return self.large > LEAST and self.large > FACTOR * max(self.small, LEAST / FACTOR / 2)


def shapes(seed: bytes, *, thorough: bool = False) -> Iterator[Shape]:
    """Everything that can be made large in a seed. The first line stays: it may say which file this is."""
    head, line_end, body = seed.partition(b"\n")
    head += line_end
    for fill in _FILLS:
        yield Shape(f"{fill!r} again and again", lambda size, fill=fill: head + _grown(fill, size))  # type: ignore[misc]
    yield from _documents(head, body)
    yield Shape("all of it again", lambda size: head + _grown(body, size))
    yield Shape("all of it again, numbered", lambda size: head + _numbered(body, size))
    lines = body.split(b"\n")
    for at in _spread(len(lines)):
        before, after = b"\n".join(lines[:at]) + b"\n", b"\n" + b"\n".join(lines[at + 1 :])
        line = lines[at] + b"\n"
        for how in (_grown, _numbered):
            yield Shape(
                f"line {at + 2} {how.__name__[1:]}: {line[:40]!r}",
                lambda size, b=before, a=after, line=line, how=how: head + b + how(line, size) + a,  # type: ignore[misc]
            )
    tokens = list(_TOKEN.finditer(body))
    for number in _spread(len(tokens)):
        token = tokens[number]
        before, after = body[: token.start()], body[token.end() :]
        yield Shape(
            f"{token[0]!r} at {token.start()} long",
            lambda size, b=before, a=after, token=token: head + b + _grown(token[0], size) + a,  # type: ignore[misc]
        )
        for fill in _FILLS if thorough else ():
            yield Shape(
                f"{fill!r} from {token.start()} on",
                lambda size, b=before, fill=fill: head + b + _grown(fill, size),  # type: ignore[misc]
            )


#: Values of JSON that are small in a file and large in memory: how they begin, what is said again and again, and their end.
_VALUES = (
    (b"[", b"[],", b"[]]"),
    (b"[", b"{},", b"{}]"),
    (b"[", b"0.5,", b"1]"),
    (b"[", b'"",', b'""]'),
    (b"{", b'"%d":[],', b'"":0}'),
    (b'{"a":[', b'{"name":"a","version":"%d"},', b"0]}"),
    (b'"', b"a", b'"'),
    (b"", b"9", b""),
    (b"[" * 400, b'{"":0},', b"0" + b"]" * 400),
)


def _documents(head: bytes, body: bytes) -> Iterator[Shape]:
    """Where the seed is JSON, every value of it in turn is exchanged for large ones."""
    try:
        document = json.loads(body)
    except ValueError:
        return
    places = list(_places(document))
    for number in _spread(len(places)):
        holder, key = places[number]
        was, holder[key] = holder[key], "HERE"
        before, _, after = json.dumps(document).encode().partition(b'"HERE"')
        holder[key] = was
        for begin, again, end in _VALUES:
            how = _counted if b"%d" in again else _grown
            yield Shape(
                f"{begin[:9]!r} {again!r} as {key!r}",
                lambda size, parts=(before, begin, again, how, end, after): _document(head, *parts, size),  # type: ignore[misc]
            )


def _places(document: Any) -> Iterator[tuple[Any, Any]]:
    items = (
        document.items()
        if isinstance(document, dict)
        else enumerate(document)
        if isinstance(document, list)
        else ()
    )
    for key, value in list(items):
        yield document, key
        yield from _places(value)


def _document(
    head: bytes,
    before: bytes,
    begin: bytes,
    again: bytes,
    how: Callable[[bytes, int], bytes],
    end: bytes,
    after: bytes,
    size: int,
) -> bytes:
    return head + before + begin + how(again, size) + end + after


def _counted(part: bytes, size: int) -> bytes:
    return b"".join(part % number for number in range(size // (len(part) + 4) + 1))


def _spread(count: int) -> list[int]:
    """Some places of so many, the first ones all."""
    if count <= _PLACES:
        return list(range(count))
    return sorted({*range(_PLACES // 2), *(count * part // _PLACES for part in range(_PLACES))})


def _grown(part: bytes, size: int) -> bytes:
    return part * (size // len(part) + 1) if part else b"\n" * size


def _numbered(part: bytes, size: int) -> bytes:
    """The part again and again, its first word and first number other ones each time."""
    words = [match.span() for match in re.finditer(rb"[A-Za-z]+", part)][:2]
    if not words:
        return _grown(part, size)
    pieces, at = [], 0
    for _, end in words:
        pieces.append(part[at:end])
        at = end
    form = b"%d".join(piece.replace(b"%", b"%%") for piece in [*pieces, part[at:]])
    return b"".join(form % ((number,) * len(words)) for number in range(size // len(part) + 1))


def cost(run: Callable[[bytes], int], shape: Shape, small: int = SMALL, large: int = LARGE) -> Cost | str:
    """What reading an input of that shape costs; or how it failed."""
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        try:
            resource.setrlimit(resource.RLIMIT_CPU, (HANGS, HANGS))
            os.write(writing, _measured(run, shape, small, large))
            os._exit(0)
        except BaseException as error:  # noqa: BLE001 - the process ends here
            os.write(writing, b"!" + repr(error)[:300].encode("utf-8", "replace"))
            os._exit(1)
    os.close(writing)
    with open(reading, "rb") as pipe:
        said = pipe.read()
    status = os.waitpid(child, 0)[1]
    if said[:1] == b"=":
        return Cost(*struct.unpack("=3d", said[1:])[:2], int(struct.unpack("=3d", said[1:])[2]))
    return said[1:].decode() or (f"killed after {HANGS} s" if os.WIFSIGNALED(status) else "it ended")


def _measured(run: Callable[[bytes], int], shape: Shape, small: int, large: int) -> bytes:
    times = []
    for size in (small, large):
        data = shape.make(size)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        taken = []
        for _ in range(2):  # the machine may have been busy with something else
            began = time.process_time()
            run(data)
            taken.append(time.process_time() - began)
            if taken[0] < LEAST:
                break
        times.append(min(taken))
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return b"=" + struct.pack("=3d", times[0], times[1], (after - before) * 1024.0)


def grown(name: str, *, thorough: bool = False) -> Iterator[tuple[Shape, Cost | str]]:
    """The inputs of a target that cost more than in proportion, surely: measured again, and four times as large."""
    target = TARGETS[name]
    for seed in target.seeds():
        for shape in shapes(seed, thorough=thorough):
            first = cost(target.run, shape)
            if isinstance(first, str):
                yield shape, first
            elif first.grows:
                again = cost(target.run, shape, LARGE, 4 * LARGE)
                if isinstance(again, str) or again.grows:
                    yield shape, again


if __name__ == "__main__":
    _names = [name for name in sys.argv[1:] if not name.startswith("-")]
    for _name in _names or TARGETS:
        for _shape, _cost in grown(_name, thorough="--thorough" in sys.argv):
            print(_name, _shape.name, _cost, flush=True)
