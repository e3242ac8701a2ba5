"""Which policies a workload may break: asked of all of them at once, before any is asked by itself. Pure.

Most policies hold, and many read the same: so each thing is read once for all of them, and what they make of what it says is
remembered. Every question of a section (a criterion, or the criteria about one volume or port) has a bit; a workload's bits
are those of the questions that it fits, or one of its containers. A section of which a bit is missing cannot hold, and is not
asked; all others are asked as ever. So nothing is decided here, and where in doubt a bit is set.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Hashable, Sequence
from typing import Any, TypeAlias

import msgspec

from redoubt.policies import values
from redoubt.policies.compiling import CompiledPolicy, CompiledSection, World
from redoubt.policies.criteria import Level
from redoubt.policies.sections import Leaf, Test
from redoubt.policies.values import Asked, Clock

#: Policies with those of their sections that are to be asked.
Asking: TypeAlias = Sequence[tuple[CompiledPolicy, list[CompiledSection]]]
#: A section, with the bits without which it does not hold.
_Masked: TypeAlias = tuple[int, tuple[CompiledPolicy, CompiledSection]]


class Known(dict[Any, Any]):
    """What was said → what is made of it, within bounds: when it is too much, all is forgotten.

    ``memory`` is in bytes, as is ``largest``, of one thing; as JSON: what is made of it is some times as much.
    """

    __slots__ = ("_largest", "_memory", "_size")

    def __init__(self, memory: int = 256 << 10, largest: int = 4 << 10) -> None:
        super().__init__()
        self._memory, self._largest = memory, largest
        self._size = 0

    def keep(self, said: Hashable, made: Any, size: int) -> None:
        """``size`` is that of what was said."""
        if size > self._largest:
            return
        if self._size > self._memory:
            self._size = 0
            self.clear()
        self._size += size + 64
        self[said] = made


class Feature:
    """Something that an object says, and all questions about it."""

    __slots__ = ("_questions", "known", "read")

    def __init__(self, read: Callable[[Any], Any]) -> None:
        self.read = read
        self.known = Known()
        self._questions: list[tuple[int, Test]] = []

    def add(self, bit: int, test: Test) -> None:
        """One more question."""
        self._questions.append((bit, test))

    def of(self, given: Any, clock: Clock) -> int:
        """The bits for an object."""
        said = self.read(given)
        known: int | None = self.known.get(said)
        return self.ask(given, said, clock) if known is None else known

    def bits(self, given: Any, clock: Clock) -> int:
        """The bits for an object, which are not remembered."""
        bits = 0
        for bit, test in self._questions:
            if test(given, clock):
                bits |= bit
        return bits

    def ask(self, given: Any, said: Any, clock: Clock) -> int:
        """The bits for an object, of which nothing is known yet; what it ``said`` is remembered with them."""
        bits = self.bits(given, clock)
        try:
            size = len(msgspec.json.encode(said))
        except UnicodeEncodeError:  # half a character
            return bits
        self.known.keep(said, bits, size)
        return bits


class Sections:
    """Sections in the order in which they are asked."""

    __slots__ = ("_all", "_alone", "_several")

    def __init__(self, masked: Sequence[_Masked]) -> None:
        self._all = masked
        #: The bits of those that have one, and of each other one: that there are none of them is quickly seen.
        self._alone = 0
        self._several: list[int] = []
        for mask, _ in masked:
            if mask.bit_count() == 1:
                self._alone |= mask
            else:
                self._several.append(mask)

    def only(self, wanted: Callable[[CompiledPolicy], bool]) -> Sections:
        """Those of some policies."""
        return Sections([(mask, one) for mask, one in self._all if wanted(one[0])])

    def among(self, bits: int) -> Asking:
        """The policies that a workload with these bits may break, with those of their sections that may hold."""
        found: list[tuple[CompiledPolicy, list[CompiledSection]]] = []
        if not bits & self._alone and not [mask for mask in self._several if bits & mask == mask]:
            return found
        for compiled, section in [each for mask, each in self._all if bits & mask == mask]:
            if found and found[-1][0] is compiled:
                found[-1][1].append(section)
            else:
                found.append((compiled, [section]))
        return found


class Plan:
    """For policies as they are asked, in their order; ``trees`` is how many the images of their set have."""

    def __init__(self, policies: Asking, trees: int) -> None:
        self._next = 1 << trees  # the first bits are those of ``ImagePart.may``
        self._bits: dict[object, int] = {}
        self._features: dict[tuple[Level, str], Feature] = {}
        #: What is not remembered, as it cannot be told apart quickly.
        self._unread: list[tuple[int, Callable[[World], bool]]] = []
        self.sections = Sections(
            [(self._mask(section), (compiled, section)) for compiled, some in policies for section in some]
        )
        of = {
            level: [each for (where, _), each in self._features.items() if where is level] for level in Level
        }
        self._of_workload = of[Level.DEPLOYMENT]
        self._of_ports = of[Level.PORT]
        self._of_container = of[Level.CONTAINER] + of[Level.VOLUME]
        self.of_variable = next(iter(of[Level.VARIABLE]), None)
        self.of_name = next(iter(of[Level.NAME]), None)

    def features(self, level: Level, *names: str) -> list[Feature]:
        """Those about fields with these names."""
        return [each for (where, name), each in self._features.items() if where is level and name in names]

    def suspects(self, world: World) -> Asking:
        """The policies that may be broken, with those of their sections that may hold."""
        bits = self.of_workload(world)
        for feature in self._of_ports:
            bits |= feature.of(world.deployment, world.clock)
        return self.sections.among(bits | self._of_placed(world))

    def of_workload(self, world: World) -> int:
        """The bits of a workload's own, but for its ports."""
        clock, deployment = world.clock, world.deployment
        bits = 0
        for bit, test in self._unread:
            if test(world):
                bits |= bit
        for feature in self._of_workload:
            said = feature.read(deployment)
            known = feature.known.get(said)
            bits |= feature.ask(deployment, said, clock) if known is None else known
        return bits

    def _of_placed(self, world: World) -> int:
        clock, of_variable, of_name = world.clock, self.of_variable, self.of_name
        bits = 0
        for placed in world.placed:
            bits |= placed.part.may
            if of_name is not None:
                bits |= of_name.of(placed.name, clock)
            container = placed.container
            for feature in self._of_container:
                said = feature.read(container)
                known = feature.known.get(said)
                bits |= feature.ask(container, said, clock) if known is None else known
            if of_variable is not None and container.config is not None:
                find = of_variable.known.get
                for variable in container.config.env:
                    said = (variable.env_var_source, variable.key)
                    known = find(said)
                    bits |= of_variable.ask(variable, said, clock) if known is None else known
        return bits

    # What is asked

    def _mask(self, section: CompiledSection) -> int:
        """The bits of all its questions. What happens at runtime has none: it is no matter of a workload."""
        mask = 0 if section.tree_at < 0 else 1 << section.tree_at
        for leaf in section.leaves[Level.DEPLOYMENT]:
            if leaf.criterion.kind in (values.has_pair, values.lacks_pairs):
                mask |= self._asked_each_time(leaf, operator.attrgetter("deployment"))
            else:
                mask |= self._asked(leaf, leaf.criterion.name, leaf.criterion.read)
        for leaf in section.leaves[Level.NETWORK_POLICIES]:
            mask |= self._asked_each_time(leaf, operator.attrgetter("around.network_policies"))
        for leaf in section.leaves[Level.CONTAINER]:
            part = leaf.criterion.part
            read = operator.attrgetter(part) if part else leaf.criterion.read
            mask |= self._asked(leaf, part or leaf.criterion.name, read)
        for leaf in section.leaves[Level.NAME]:
            mask |= self._asked(leaf, "name", lambda name: name)
        for leaf in section.leaves[Level.VARIABLE]:
            mask |= self._bit(leaf.key, Level.VARIABLE, "env", key_of, _without_content(leaf))
        for of, level, field in (
            (section.volumes, Level.VOLUME, "volumes"),
            (section.ports, Level.PORT, "ports"),
        ):
            if of is not None:
                inner = () if of.inner is None else of.inner.leaves
                keys = tuple(leaf.key for leaf in (*of.leaves, *inner))
                mask |= self._bit(keys, level, field, operator.attrgetter(field), of.exists)
        return mask

    def _asked(self, leaf: Leaf, name: str, read: Callable[[Any], Any]) -> int:
        return self._bit(leaf.key, leaf.criterion.level, name, read, leaf.test)

    def _bit(self, key: object, level: Level, name: str, read: Callable[[Any], Any], test: Test) -> int:
        """The bit of a question about what ``read`` gives of an object of that level; one for all that ask the same."""
        bit = self._bits.get(key)
        if bit is None:
            bit = self._new(key)
            self._features.setdefault((level, name), Feature(read)).add(bit, test)
        return bit

    def _asked_each_time(self, leaf: Leaf, read: Callable[[World], Any]) -> int:
        bit = self._bits.get(leaf.key)
        if bit is None:
            bit = self._new(leaf.key)
            self._unread.append((bit, _of(read, leaf.test)))
        return bit

    def _new(self, key: object) -> int:
        bit = self._bits[key] = self._next
        self._next <<= 1
        return bit


def _of(read: Callable[[World], Any], test: Test) -> Callable[[World], bool]:
    def asked(world: World) -> bool:
        given = read(world)
        return given is not None and test(given, world.clock)

    return asked


def key_of(variable: Any) -> tuple[str, str]:
    """What is remembered of a variable: never its content."""
    return variable.env_var_source, variable.key


def _without_content(leaf: Leaf) -> Test:
    """A question about variables as it is asked of where they are from and what they are called: that may fit, whatever is in them."""
    asked = leaf.asked
    if asked.negate:
        return lambda _, __: True
    # The very matchers that the criterion asks: see ``values.compound``.
    fits = _compound(Asked(tuple("=".join(value.split("=", 2)[:2]) for value in asked.values), asked.every))
    assert not isinstance(fits, values.Age)
    return lambda variable, _: fits(key_of(variable))


_compound = values.compound(2)
