"""OVAL definitions (OVAL 5, "oval-definitions-schema" and "linux-definitions-schema"), as a stream.

A document says first what it concludes (definitions, with trees of criteria) and only then of what (tests, which
point to objects and states, which may point to variables). It is read once: definitions are kept small and
packed until everything they point to is known.

Knows no distribution: which criteria of a tree name a platform is told by the caller, and what a tree as
a whole claims is ``criteria``'s matter.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec

from redoubt.definitions.feeds import xmlstream
from redoubt.definitions.feeds.interface import Notes
from redoubt.errors import LimitExceeded, UnreadableInput

#: Bytes that what is kept of one document may take, roughly.
MAX_KEPT = 1 << 30
#: Criteria in one definition; SUSE's largest have some thousands.
MAX_CRITERIA = 200_000
_MAX_FACTS = 10_000
_MAX_VALUES = 1_000
_MAX_COMMENT = 500
#: Leads what is not a name but points to a variable.
_POINTER = "\0"
#: The ``check`` of a test that is built in an unusual way, which nobody reads as one of the usual.
_UNUSUAL = "unusual"


class Reference(msgspec.Struct, frozen=True, array_like=True):
    """A link to another name of the flaw or the erratum: ``source`` is ``CVE``, ``elsa``, ``SUSE-SU`` …"""

    source: str
    id: str
    url: str


class Flaw(msgspec.Struct, frozen=True, array_like=True):
    """A ``cve`` of an advisory: its text as written, and its CVSS 3 as written (``7/CVSS:3.1/AV:…``)."""

    text: str
    cvss3: str = ""


class Criterion(msgspec.Struct, frozen=True, array_like=True, tag=0):
    """One test of a tree. ``test`` is a number for ``Tests``; ``comment`` is empty unless it was to be kept."""

    test: int
    comment: str
    negated: bool = False


class Criteria(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """A node of a tree: all of ``items`` hold, or any of them."""

    any_of: bool
    negated: bool
    items: list[Criterion | Criteria]


class Definition(msgspec.Struct, frozen=True, array_like=True):
    """One definition. ``kind`` is its class (``patch``, ``vulnerability``); ``facts`` the texts of its metadata.

    The texts are those of ``title``, ``severity``, ``patchable``, ``advisory_date`` and ``advisory_id``, and
    the dates of ``issued`` and ``updated``; what is absent is not in it.
    """

    id: str
    kind: str
    facts: dict[str, str]
    references: list[Reference]
    flaws: list[Flaw]
    cpes: list[str]
    criteria: Criteria | None


class State(NamedTuple):
    """What a state demands of one property: ``entity`` is ``evr``, ``version``, ``arch``, ``signature_keyid`` …"""

    entity: str
    operation: str
    value: str


class Test(NamedTuple):
    """A test, with what it points to: names of packages, and what is demanded of them, all of it."""

    kind: str
    check: str
    names: tuple[str, ...]
    states: tuple[State, ...]


class Document(NamedTuple):
    """What is in a document, after it was read to its end."""

    definitions: Iterator[Definition]
    tests: Tests


class Tests:
    """The tests of a document, by the numbers that its criteria have."""

    def __init__(self) -> None:
        self.parts: dict[int, tuple[str, str, tuple[str, ...], tuple[str, ...]]] = {}
        self.objects: dict[str, tuple[str, ...]] = {}
        self.states: dict[str, tuple[State, ...]] = {}
        self.variables: dict[str, tuple[str, ...]] = {}

    def __getitem__(self, number: int) -> Test | None:
        """The test of a number; None where the document does not have it, or one of the things it points to."""
        part = self.parts.get(number)
        if part is None:
            return None
        kind, check, objects, states = part
        try:
            names = [name for item in objects for name in self._names(item)]
            demands = [state for item in states for state in self.states[item]]
        except KeyError:
            return None
        return Test(kind, check, tuple(names), tuple(demands))

    def _names(self, item: str) -> tuple[str, ...]:
        found: tuple[str, ...] = ()
        for name in self.objects[item]:
            found += self.variables[name[1:]] if name.startswith(_POINTER) else (name,)
            if len(found) > _MAX_VALUES:
                raise KeyError(item)
        return found


def read(name: str, chunks: Iterable[bytes], notes: Notes, comments: re.Pattern[str]) -> Document:
    """Read the document in ``chunks``. ``name`` is what errors call it; of criteria's comments those are kept that
    ``comments`` matches from their beginning.

    Definitions that cannot be used are counted in ``notes``. Raises ``UnreadableInput`` where it is no OVAL,
    ``LimitExceeded`` where it is too much.
    """
    reader = _Reader(name, notes, comments)
    xmlstream.parse(name, chunks, reader)
    return Document(_unpacked(reader.packed), reader.tests)


def _unpacked(packed: list[bytes]) -> Iterator[Definition]:
    """The definitions, in the document's order; each is let go as it is given."""
    decode = msgspec.msgpack.Decoder(Definition).decode
    packed.reverse()
    while packed:
        yield decode(packed.pop())


_TEXTS = frozenset({"title", "severity", "patchable", "advisory_date", "advisory_id"})
_ENTITIES = frozenset(
    {"evr", "version", "release", "epoch", "arch", "signature_keyid", "name", "text", "subexpression"}
)


class _Reader:
    """Told of elements, it gathers the parts. The item that is open decides what an element within it means."""

    def __init__(self, name: str, notes: Notes, comments: re.Pattern[str]) -> None:
        self.tests = Tests()
        self._name = name
        self._notes = notes
        self._comments = comments
        self.packed: list[bytes] = []
        self._size = 0
        self._item = ""
        self._id = ""
        self._numbers: dict[str, int] = {}
        self._strings: dict[str, str] = {}
        self._tuples: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._encode = msgspec.msgpack.Encoder().encode
        self._reset()

    def start(self, tag: str, attributes: dict[str, str], depth: int) -> bool:
        """See ``xmlstream.Handler``."""
        if depth == 1:
            if tag != "oval_definitions":
                raise UnreadableInput(
                    f"{self._name} is not OVAL definitions but {tag[:80]!r}; fetch it again"
                )
        elif depth == 3:
            self._begin(tag, attributes)
        elif depth > 3:
            match self._item:
                case "definition":
                    return self._in_definition(tag, attributes)
                case "test":
                    if tag == "object":
                        self._points(self._objects, attributes.get("object_ref", ""))
                    elif tag == "state":
                        self._points(self._states, attributes.get("state_ref", ""))
                case "object" if tag == "name":
                    if reference := attributes.get("var_ref"):
                        self._named(_POINTER + reference)
                        return False
                    return True
                case "state" if tag in _ENTITIES:
                    self._operation = attributes.get("operation", "equals")
                    return True
                case "variable":
                    return tag == "value"
        return False

    def end(self, tag: str, text: str, depth: int) -> None:
        """See ``xmlstream.Handler``."""
        if depth == 3:
            self._finish()
        elif depth > 3:
            match self._item:
                case "definition":
                    self._said(tag, text)
                case "object" if tag == "name" and text.strip():
                    self._named(text.strip())
                case "state" if tag in _ENTITIES and len(self._demands) < _MAX_VALUES:
                    self._keep(len(text))
                    self._demands.append(State(self._same(tag), self._same(self._operation), text.strip()))
                case "variable" if tag == "value":
                    self._named(text.strip())

    def _begin(self, tag: str, attributes: dict[str, str]) -> None:
        self._reset()
        self._id = attributes.get("id", "")
        if tag == "definition":
            self._item, self._kind = "definition", attributes.get("class", "")
        elif (kind := tag.rpartition("_")[2]) in ("test", "object", "state", "variable"):
            self._item, self._kind = kind, self._same(tag)
            self._check = self._same(attributes.get("check", ""))
            self._alone = attributes.get(
                "check_existence", "at_least_one_exists"
            ) == "at_least_one_exists" and (attributes.get("state_operator", "AND") == "AND")

    def _points(self, to: list[str], reference: str) -> None:
        if len(to) < _MAX_VALUES:
            to.append(self._same(reference))

    def _named(self, name: str) -> None:
        if len(self._names) < _MAX_VALUES:
            self._names.append(self._same(name))

    def _reset(self) -> None:
        self._item = self._kind = self._check = self._operation = ""
        self._alone = True
        self._facts: dict[str, str] = {}
        self._references: list[Reference] = []
        self._flaws: list[Flaw] = []
        self._cpes: list[str] = []
        self._cvss3 = ""
        self._open: list[Criteria] = []
        self._tree: Criteria | None = None
        self._criteria = 0
        self._objects: list[str] = []
        self._states: list[str] = []
        self._names: list[str] = []
        self._demands: list[State] = []

    def _in_definition(self, tag: str, attributes: dict[str, str]) -> bool:
        match tag:
            case "criterion" | "extend_definition":
                self._leaf(attributes)
            case "criteria":
                operator = attributes.get("operator", "AND").upper()
                unusual = operator not in ("AND", "OR") or _negated(attributes)
                node = Criteria(operator == "OR", unusual, [])
                if self._open:
                    self._open[-1].items.append(node)
                elif self._tree is None:
                    self._tree = node
                self._open.append(node)
                self._count()
            case "reference" if len(self._references) < _MAX_FACTS:
                told = [attributes.get(name, "") for name in ("source", "ref_id", "ref_url")]
                self._keep(sum(map(len, told)))
                self._references.append(Reference(*told))
            case "issued" | "updated":
                self._facts[tag] = attributes.get("date", "")
            case "cve":
                self._cvss3 = attributes.get("cvss3", "")
                return True
            case _:
                return tag in _TEXTS or tag == "cpe"
        return False

    def _leaf(self, attributes: dict[str, str]) -> None:
        self._count()
        if self._open:
            reference = attributes.get("test_ref", "")
            comment = attributes.get("comment", "")[:_MAX_COMMENT]
            self._open[-1].items.append(
                Criterion(
                    self._number(reference),
                    comment if self._comments.match(comment) else "",
                    _negated(attributes),
                )
            )

    def _count(self) -> None:
        self._criteria += 1
        if self._criteria > MAX_CRITERIA:
            raise LimitExceeded(
                f"{self._name}: {self._id[:100]} has over {MAX_CRITERIA} criteria; it is not read"
            )

    def _said(self, tag: str, text: str) -> None:
        if tag == "criteria":
            self._open.pop()
        elif tag in _TEXTS:
            self._facts.setdefault(tag, text.strip())
        elif tag == "cve" and len(self._flaws) < _MAX_FACTS:
            self._keep(len(text) + len(self._cvss3))
            self._flaws.append(Flaw(text.strip(), self._cvss3))
        elif tag == "cpe" and len(self._cpes) < _MAX_FACTS:
            self._keep(len(text))
            self._cpes.append(text.strip())

    def _finish(self) -> None:
        match self._item:
            case "definition":
                self._pack()
            case "test":
                # Several objects or states, and other ways to combine them, are nothing that distributions write.
                whole = self._alone and len(self._objects) == 1 and len(self._states) <= 1
                self.tests.parts[self._number(self._id)] = (
                    self._kind,
                    self._check if whole else _UNUSUAL,
                    self._tuple(self._objects),
                    self._tuple(self._states),
                )
            case "object":
                self.tests.objects[self._same(self._id)] = tuple(self._names)
            case "state":
                self.tests.states[self._same(self._id)] = tuple(self._demands)
            case "variable":
                self.tests.variables[self._same(self._id)] = tuple(self._names)
        self._item = ""

    def _pack(self) -> None:
        self._notes.read += 1
        if not self._id or self._tree is None:
            self._notes.spoil(f"{self._name} {self._id}", "a definition without an id or without criteria")
            return
        packed = self._encode(
            Definition(
                self._id, self._kind, self._facts, self._references, self._flaws, self._cpes, self._tree
            )
        )
        self._keep(len(packed))
        self.packed.append(packed)

    def _keep(self, size: int) -> None:
        """Count something that is kept: its size, and what it costs to hold it."""
        self._size += size + 100
        if self._size > MAX_KEPT:
            raise LimitExceeded(
                f"{self._name} holds over {MAX_KEPT} bytes that are to be kept; it is not read"
            )

    def _same(self, text: str) -> str:
        """``text``, as the one object that is kept of texts that are equal."""
        if (known := self._strings.get(text)) is None:
            self._keep(len(text))
            known = self._strings[text] = text
        return known

    def _tuple(self, texts: list[str]) -> tuple[str, ...]:
        """The same for several."""
        whole = tuple(texts)
        return self._tuples.setdefault(whole, whole)

    def _number(self, test: str) -> int:
        """The number of a test, new where it was not heard of."""
        if (known := self._numbers.get(test)) is None:
            self._keep(len(test))
            known = self._numbers[test] = len(self._numbers)
        return known


def _negated(attributes: dict[str, str]) -> bool:
    return attributes.get("negate", "false").lower() not in ("false", "0")
