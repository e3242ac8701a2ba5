"""How an input is changed so that it stays in form: JSON by its values, XML by its elements, text by lines and words, tar by members.

A fuzzer that changes bytes spends its time on what no parser gets past: a bracket too few, a checksum that is
wrong. Here half of the changes are libFuzzer's own; the others keep the form and change what is in it. It must
not know any target.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from random import Random
from typing import Any

#: What a reader that expects something else may trip over.
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1.5, 1e308, 2**31, 2**63, 2**64, 10**40, "", " ", "0", "-", ".", "..", "/", "\0", "\n", "\ud800", "\u202e",
    "a" * 3000, "1" * 400, "*", "%s", "1.0", "1:1-1", "2099-01-01", "https://x/", "pkg:npm/a@1", "CVE-2099-0001", [], {}, [[]], [{}],
    {"": ""}, ["a", "a"], [None],
)  # fmt: skip
_WORDS = tuple(value.encode() for value in VALUES if isinstance(value, str) and value.isprintable())
_BETWEEN = b"\n\0\n"  # of an input with several files: see ``targets``
_TOKEN = re.compile(rb"[A-Za-z0-9_.+-]+|[^A-Za-z0-9_.+-]")
_ELEMENT = re.compile(rb"<([A-Za-z_][\w:.-]*)(?:\s[^<>]*)?>")
_ATTRIBUTE = re.compile(rb'(=")([^"<>]*)"|(>)([^<>]+)<')
_BLOCK = 512
_MUCH = 60_000

Mutator = Callable[[bytes, int, int], bytes]


def mutator(seeds: Iterable[bytes], change: Callable[[bytes, int], bytes]) -> Mutator:
    """What atheris takes for a mutator. ``seeds`` are where values are taken from, ``change`` is libFuzzer's own."""
    stock = Stock(seeds)

    def mutate(data: bytes, max_size: int, seed: int) -> bytes:
        random = Random(seed)
        if not data or random.random() < 0.4:
            return _summed(change(data, max_size), random)
        for _ in range(1 + int(random.random() < 0.4)):
            data = stock.changed(data, random)
        if random.random() < 0.1:
            data = change(data[:max_size], max_size)
        return _summed(data[:max_size], random)

    return mutate


def words(seeds: Iterable[bytes], most: int = 400) -> list[bytes]:
    """The words of some inputs, for libFuzzer's dictionary; the usual ones first."""
    counts: dict[bytes, int] = {}
    for seed in seeds:
        for word in re.findall(rb"[A-Za-z_][\w.:-]{2,30}", seed[:_MUCH]):
            counts[word] = counts.get(word, 0) + 1
    return sorted(counts, key=lambda word: -counts[word])[:most]


class Stock:
    """The values, elements, lines and words of well-formed inputs, to be put into others."""

    def __init__(self, seeds: Iterable[bytes]) -> None:
        self.values: list[Any] = list(VALUES)
        self.keys: list[str] = [""]
        self.lines: list[bytes] = [b"", b" ", b"\t"]
        self.words: list[bytes] = list(_WORDS)
        self.elements: list[bytes] = []
        self.pieces: list[bytes] = []
        for seed in seeds:
            for piece in seed.split(_BETWEEN):
                self.pieces.append(piece)
                self._stock(piece[:_MUCH])

    def _stock(self, piece: bytes) -> None:
        head, document = _document(piece)
        if document is not None:
            for holder, key in _places(document):
                self.values.append(holder[key])
                if isinstance(holder, dict):
                    self.keys.append(key)
        self.lines += (head if document is not None else piece).split(b"\n")[:500]
        self.words += sorted(set(re.findall(rb"[A-Za-z0-9_.+:-]+", piece)))[:1000]
        self.elements += [element for at in _starts(piece)[:200] if (element := _element(piece, at))]

    def changed(self, data: bytes, random: Random) -> bytes:
        """One change to one of the files in ``data``, in the file's own form."""
        pieces = data.split(_BETWEEN)
        at = random.randrange(len(pieces))
        if random.random() < 0.05:
            if random.random() < 0.5 and len(pieces) > 1:
                del pieces[at]
            else:
                pieces.insert(at, random.choice(self.pieces))
            return _BETWEEN.join(pieces)
        pieces[at] = self._piece(pieces[at], random)
        return _BETWEEN.join(pieces)

    def _piece(self, piece: bytes, random: Random) -> bytes:
        head, document = _document(piece)
        if document is not None and random.random() < 0.9:
            box = [document]
            self._json(box, random)
            try:
                return head + json.dumps(box[0]).encode()
            except RecursionError:
                return piece
        starts = _starts(piece)
        if len(starts) > 3 and random.random() < 0.8:
            return self._xml(piece, starts, random)
        if piece[257:262] == b"ustar":
            return _members(piece, random)
        return self._text(piece, random)

    def _json(self, box: list[Any], random: Random) -> None:
        places = list(_places(box))
        holder, key = random.choice(places)
        how = random.randrange(8)
        if how == 0:
            del holder[key]
            if not box:
                box.append({})
        elif how == 1 and isinstance(holder, dict):
            holder[random.choice(self.keys)] = holder.pop(key) if random.random() < 0.5 else holder[key]
        elif how == 2 and isinstance(holder, list):
            holder.insert(random.randrange(len(holder) + 1), holder[key])
        elif how == 3:
            other, name = random.choice(places)
            holder[key] = other[name] if other is not holder[key] else None
        elif how == 4 and isinstance(holder[key], str):
            holder[key] = self._text(holder[key].encode("utf-8", "replace"), random).decode(
                "utf-8", "replace"
            )
        elif how == 5 and isinstance(holder[key], dict):
            holder[key][random.choice(self.keys)] = random.choice(self.values)
        elif how == 6:
            holder[key] = [holder[key]] if random.random() < 0.5 else {random.choice(self.keys): holder[key]}
        else:
            holder[key] = random.choice(self.values)
        # What was put in may be in the stock, and may hold what holds it.
        try:
            box[0] = json.loads(json.dumps(box[0]))
        except (ValueError, RecursionError):
            box[0] = None

    def _xml(self, piece: bytes, starts: list[int], random: Random) -> bytes:
        at = random.choice(starts)
        element = _element(piece, at) or b""
        rest = piece[at + len(element) :]
        how = random.randrange(5)
        if how == 0:
            return piece[:at] + rest
        if how == 1:
            return piece[:at] + element * random.choice((2, 2, 3, 20)) + rest
        if how == 2 and self.elements:
            return (
                piece[:at] + random.choice(self.elements) + (element if random.random() < 0.5 else b"") + rest
            )
        inside = [
            match.span(2) if match[2] is not None else match.span(4) for match in _ATTRIBUTE.finditer(piece)
        ]
        if not inside:
            return piece[:at] + rest
        begin, end = random.choice(inside)
        if how == 3:
            first, last = random.choice(inside)
            return piece[:begin] + piece[first:last] + piece[end:]
        return piece[:begin] + self._text(piece[begin:end], random) + piece[end:]

    def _text(self, piece: bytes, random: Random) -> bytes:
        if random.random() < 0.5 and b"\n" in piece:
            lines = piece.split(b"\n")
            _reordered(lines, self.lines, random)
            return b"\n".join(lines)
        window = random.randrange(max(len(piece) - 400, 1))
        tokens = _TOKEN.findall(piece[window : window + 400]) or [b""]
        _reordered(tokens, self.words, random)
        return piece[:window] + b"".join(tokens) + piece[window + 400 :]


def _reordered(parts: list[bytes], stock: list[bytes], random: Random) -> None:
    """Leave out, say again, exchange or add one part, or some that follow each other."""
    at, other = random.randrange(len(parts)), random.randrange(len(parts))
    how = random.randrange(6)
    if how == 0:
        del parts[at : at + random.choice((1, 1, 2, 8))]
    elif how == 1:
        parts[at:at] = parts[at : at + random.choice((1, 1, 2, 8))] * random.choice((1, 1, 2, 30))
    elif how == 2:
        parts[at], parts[other] = parts[other], parts[at]
    elif how == 3:
        parts[at] = parts[at] + parts[other]
    elif how == 4:
        parts.insert(at, random.choice(stock))
    else:
        parts[at] = random.choice(stock)


def _document(piece: bytes) -> tuple[bytes, Any]:
    """What stands before the JSON, and the JSON; None where there is none."""
    first = min((at for at in (piece.find(b"{"), piece.find(b"[")) if at >= 0), default=-1)
    if first < 0 or len(piece) > _MUCH or b"\0" in piece[:first] or piece.count(b"\n", 0, first) > 1:
        return b"", None
    try:
        document = json.loads(piece[first:])
    except (ValueError, RecursionError):
        return b"", None
    return piece[:first], document


def _places(document: Any) -> Iterable[tuple[Any, Any]]:
    waiting = [document]
    while waiting:
        holder = waiting.pop()
        items = (
            holder.items()
            if isinstance(holder, dict)
            else enumerate(holder)
            if isinstance(holder, list)
            else ()
        )
        for key, value in items:
            yield holder, key
            waiting.append(value)


def _starts(piece: bytes) -> list[int]:
    return [match.start() for match in _ELEMENT.finditer(piece)] if piece[:400].count(b"<") > 1 else []


def _element(piece: bytes, at: int) -> bytes:
    """The element that begins there, with all that is in it; nothing if it has no end."""
    match = _ELEMENT.match(piece, at)
    if match is None:
        return b""
    if match[0].endswith(b"/>"):
        return match[0]
    depth, name = 0, re.escape(match[1])
    for tag in re.finditer(rb"<(/?)" + name + rb"(?:\s[^<>]*)?>", piece[at : at + 20_000]):
        depth += -1 if tag[1] else 0 if tag[0].endswith(b"/>") else 1
        if depth == 0:
            return piece[at : at + tag.end()]
    return b""


def _members(piece: bytes, random: Random) -> bytes:
    """A tar whose blocks are moved, left out or said again, or one field of a header of which is changed."""
    blocks = [piece[at : at + _BLOCK] for at in range(0, len(piece), _BLOCK)]
    headers = [number for number, block in enumerate(blocks) if block[257:262] == b"ustar"]
    at = random.choice(headers or [0])
    if random.random() < 0.4:
        _reordered(blocks, [bytes(_BLOCK), blocks[at]], random)
        return b"".join(blocks)
    block = bytearray(blocks[at].ljust(_BLOCK, b"\0"))
    begin, length = random.choice(
        ((0, 100), (100, 8), (124, 12), (156, 1), (157, 100), (265, 32), (345, 155), (482, 1))
    )
    value = random.choice((
        b"", b"0", b"7" * length, b"-1", b"\xff" * length, b"\x80" + bytes(max(length - 2, 0)) + b"\x01", b"L", b"K", b"x", b"g", b"S", b"1", b"2",
        b"5", b"../a", b"/a", b"a" * length, b".wh.a", b".wh..wh..opq", b"1000", b" 17 ", b"\xc3\xa9", b"etc/os-release", b"30 path=b\n",
    ))  # fmt: skip
    block[begin : begin + length] = value[:length].ljust(length, b"\0")
    blocks[at] = bytes(block)
    return b"".join(blocks)


def _summed(data: bytes, random: Random) -> bytes:
    """A tar's checksums, right again; now and then they stay wrong."""
    if data[257:262] != b"ustar" or random.random() < 0.1:
        return data
    whole = bytearray(data)
    for at in range(0, len(whole) - _BLOCK + 1, _BLOCK):
        if whole[at + 257 : at + 262] == b"ustar":
            whole[at + 148 : at + 156] = b" " * 8
            whole[at + 148 : at + 156] = b"%06o\0 " % sum(whole[at : at + _BLOCK])
    return bytes(whole)
