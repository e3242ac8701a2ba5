"""What a tree of OVAL's criteria claims: which versions of which packages, on which platforms.

A definition's tree says when a system is concerned: ``platform and (package a earlier than 2 or package b
earlier than 3)``. Here it becomes claims, each about one package, with all that restricts it. What cannot be
put so is left out and counted, never guessed:

- what holds only where two packages are there together (a kernel that no live patch covers);
- negated criteria, and tests of anything else than packages (a running kernel, a file).

Two tests of one package that must both hold (``later than 1``, ``earlier than 2``) are one range. Who signed a
package is not asked: nothing else is in an image. Knows no distribution: what is a platform is told by ``Scoping``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeAlias

from redoubt.definitions.feeds.oval import Criteria, Criterion, State, Test, Tests

#: Reasons why a part of a tree is left out.
TOGETHER = "criteria about packages that must be there together"
OPAQUE = "criteria that only a running system can answer"
UNKNOWN = "criteria whose test is missing or says nothing that is known here"


class Scope(NamedTuple):
    """A criterion that restricts others. ``kind`` is ``platform``, ``arch`` or ``module``; platforms that do not
    concern anybody here have an empty ``value``.
    """

    kind: str
    value: str


#: From a criterion's comment (perhaps not kept: empty) and its test to what it restricts; None if it does not.
Scoping: TypeAlias = Callable[[str, Test | None], Scope | None]


class Span(NamedTuple):
    """Versions of one package: from ``lower`` (empty: the first) to ``upper`` (empty: no end).

    ``inclusive``: ``upper`` itself is concerned, so that it does not fix. ``unaffected``: the definition says so.
    """

    name: str
    lower: str = ""
    upper: str = ""
    inclusive: bool = False
    unaffected: bool = False
    arch: str = ""


class Claim(NamedTuple):
    """A span and where it counts; None is anywhere."""

    span: Span
    platforms: frozenset[str] | None
    arches: frozenset[str] | None
    modules: frozenset[str] | None


#: kind → the values allowed.
_Context: TypeAlias = dict[str, frozenset[str]]
_Node: TypeAlias = Criteria | Criterion
_Found: TypeAlias = Span | Scope | str | None


def claims(
    tree: Criteria | None, tests: Tests, scoping: Scoping, drop: Callable[[str], None]
) -> Iterator[Claim]:
    """Every claim of a tree. ``drop`` is told the reason for each part that is left out."""
    if tree is not None:
        walk = _Walk(tests, scoping, drop)
        for span, context in walk.spans(tree, {}):
            yield Claim(span, context.get("platform"), context.get("arch"), context.get("module"))


class _Walk:
    def __init__(self, tests: Tests, scoping: Scoping, drop: Callable[[str], None]) -> None:
        self._tests = tests
        self._scoping = scoping
        self._drop = drop

    def spans(self, node: _Node, context: _Context) -> Iterator[tuple[Span, _Context]]:
        """The spans of a part of a tree, each with all that restricts it."""
        if isinstance(node, Criterion):
            node = Criteria(True, False, [node])
        if node.negated:
            self._drop(OPAQUE)
        elif node.any_of:
            for item in node.items:
                if isinstance(item, Criteria):
                    if self._restricts(item) is None:
                        yield from self.spans(item, context)
                elif isinstance(found := self._found(item), Span):
                    yield found, context
                elif isinstance(found, str):
                    self._drop(found)
        else:
            yield from self._together(node, context)

    def _together(self, node: Criteria, context: _Context) -> Iterator[tuple[Span, _Context]]:
        """The spans of a node all of whose items must hold."""
        own: list[Span] = []
        below: list[Criteria] = []
        for item in node.items:
            if isinstance(item, Criteria):
                restricted = None if item.negated else self._restricts(item)
                if restricted is None:
                    below.append(item)
                else:
                    context = _narrowed(context, restricted)
                continue
            found = self._found(item)
            if isinstance(found, str):
                self._drop(found)
                return
            if isinstance(found, Span):
                own.append(found)
            elif found is not None:
                context = _narrowed(context, {found.kind: frozenset((found.value,))})
        if len(below) + len({span.name for span in own}) > 1:
            self._drop(TOGETHER)
        elif below:
            yield from self.spans(below[0], context)
        elif own:
            if (span := _both(own)) is not None:
                yield span, context
            else:
                self._drop(UNKNOWN)

    def _restricts(self, node: Criteria) -> _Context | None:
        """What a part of a tree restricts if it speaks of no package: platforms, of which any will do.

        None where it speaks of packages, or mixes what cannot be told as one restriction.
        """
        if node.negated or not node.items:
            return None
        whole: _Context = {}
        for item in node.items:
            if isinstance(item, Criteria):
                one = self._restricts(item)
            else:
                found = self._found(item)
                one = {found.kind: frozenset((found.value,))} if isinstance(found, Scope) else None
            if one is None:
                return None
            if not node.any_of:
                whole = _narrowed(whole, one)
            elif not whole:
                whole = one
            elif whole.keys() == one.keys() and len(one) == 1:
                [(kind, values)] = one.items()
                whole = {kind: whole[kind] | values}
            else:
                return None
        return whole

    def _found(self, item: Criterion) -> _Found:
        """What a criterion says: a scope, a span, nothing that matters (None), or why it cannot be told."""
        if item.negated:
            return OPAQUE
        test = self._tests[item.test]
        if (scope := self._scoping(item.comment, test)) is not None:
            return scope
        if test is None or len(test.names) != 1:
            return UNKNOWN
        if test.kind != "rpminfo_test" or test.check not in ("at least one", "all", ""):
            return OPAQUE
        return _span(test.names[0], test.states)


def _narrowed(context: _Context, more: _Context) -> _Context:
    both = dict(context)
    for kind, values in more.items():
        both[kind] = both[kind] & values if kind in both else values
    return both


_ZERO = re.compile(r"(?:0:)?0+(?:\.0+)*(?:-0)?")
_ARCHES = re.compile(r"\^?\(?(\w+(?:\|\w+)*)\)?\$?")


def _span(name: str, states: tuple[State, ...]) -> Span | str | None:
    """What a test demands of a package, as a span. None where it demands only what does not matter here."""
    span: Span | None = None
    arch = ""
    for entity, operation, value in states:
        if entity == "signature_keyid" or (entity == "release" and value.strip("^.*") == "ksplice"):
            continue  # the second: what Oracle says beside a version that says it too
        if entity == "arch":
            named = _ARCHES.fullmatch(value)
            if named is None or operation not in ("equals", "pattern match"):
                return UNKNOWN
            arch = named[1]
        elif entity == "version" and operation == "equals" and value == "0":
            span = Span(name, unaffected=True)
        elif entity == "evr" and span is None and value:
            span = _bounded(name, operation, value)
            if span is None:
                return UNKNOWN
        else:
            return UNKNOWN
    if span is None:
        return UNKNOWN if arch or not states else None
    return span._replace(arch=arch)


def _bounded(name: str, operation: str, value: str) -> Span | None:
    zero, value = _ZERO.fullmatch(value), value.removeprefix("0:")  # no epoch is epoch 0
    match operation:
        case "less than":
            return Span(name, upper=value)
        case "less than or equal":
            return Span(name, upper=value, inclusive=True)
        case "greater than" | "greater than or equal":
            # A bound that is itself excluded has no form here: it counts as included.
            return Span(name, lower="" if zero else value)
        case "equals":
            return Span(name, lower=value, upper=value, inclusive=True)
    return None


def _both(spans: list[Span]) -> Span | None:
    """One span for several of one package that must all hold; None where they bound the same end twice."""
    whole = spans[0]
    for span in spans[1:]:
        if span == whole:
            continue
        if (whole.lower and span.lower) or (whole.upper and span.upper) or whole.arch != span.arch:
            return None
        whole = Span(
            whole.name,
            whole.lower or span.lower,
            whole.upper or span.upper,
            whole.inclusive or span.inclusive,
            whole.unaffected or span.unaffected,
            whole.arch,
        )
    return whole
