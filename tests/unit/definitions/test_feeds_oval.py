"""OVAL: what trees of criteria claim, and documents that are broken, lie or never end."""

from __future__ import annotations

import re
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redoubt.definitions.feeds import oval
from redoubt.definitions.feeds.criteria import OPAQUE, TOGETHER, UNKNOWN, Claim, Scope, claims
from redoubt.definitions.feeds.interface import Notes
from redoubt.errors import LimitExceeded, UnreadableInput

COMMENTS = re.compile("on |arch |module ")

#: name of a test → (check, package, states)
TESTS: dict[str, tuple[str, str, list[tuple[str, str, str]]]] = {
    "a<2": ("at least one", "a", [("evr", "less than", "0:2-1")]),
    "a<3": ("all", "a", [("evr", "less than", "0:3-1")]),
    "a<=2": ("at least one", "a", [("evr", "less than or equal", "0:2-1")]),
    "a>1": ("at least one", "a", [("evr", "greater than", "0:1-1")]),
    "a>0": ("at least one", "a", [("evr", "greater than", "0:0-0")]),
    "a>0.0.0": ("at least one", "a", [("evr", "greater than", "0.0.0")]),
    "a=1": ("at least one", "a", [("evr", "equals", "0:1-1")]),
    "a=0": ("at least one", "a", [("version", "equals", "0")]),
    "a<2 x": ("at least one", "a", [("arch", "equals", "x86_64"), ("evr", "less than", "0:2-1")]),
    "a<2 xy": (
        "at least one",
        "a",
        [("arch", "pattern match", "^(x86_64|s390x)$"), ("evr", "less than", "0:2-1")],
    ),
    "a<2 odd": ("at least one", "a", [("arch", "pattern match", "x.*"), ("evr", "less than", "0:2-1")]),
    "a signed": ("at least one", "a", [("signature_keyid", "equals", "ab")]),
    "a ksplice": ("at least one", "a", [("release", "pattern match", "ksplice")]),
    "a other": ("at least one", "a", [("release", "pattern match", "el8")]),
    "a match": ("at least one", "a", [("evr", "pattern match", ".*")]),
    "a nothing": ("at least one", "a", []),
    "none a<2": ("none satisfy", "a", [("evr", "less than", "0:2-1")]),
    "b<2": ("at least one", "b", [("evr", "less than", "0:2-1")]),
    "release": ("at least one", "p-release", [("version", "equals", "15.5")]),
}


def document(*definitions: str, tests: str | None = None) -> bytes:
    parts = [
        "<oval_definitions xmlns:l='urn:linux'><generator/><definitions>",
        *definitions,
        "</definitions>",
    ]
    objects, states, checks = [], [], []
    for name, (check, package, demands) in TESTS.items():
        attribute = name.replace("<", "&lt;")
        state = f"<state state_ref='s {attribute}'/>" if demands else ""
        checks.append(
            f"<l:rpminfo_test id='{attribute}' check='{check}'><l:object object_ref='o {package}'/>{state}</l:rpminfo_test>"
        )
        objects.append(f"<l:rpminfo_object id='o {package}'><l:name>{package}</l:name></l:rpminfo_object>")
        inner = "".join(
            f"<l:{entity} operation='{operation}'>{value}</l:{entity}>"
            for entity, operation, value in demands
        )
        states.append(f"<l:rpminfo_state id='s {attribute}'>{inner}</l:rpminfo_state>")
    parts.append(
        tests
        if tests is not None
        else f"<tests>{''.join(checks)}</tests><objects>{''.join(objects)}</objects><states>{''.join(states)}</states>"
    )
    return "".join([*parts, "</oval_definitions>"]).encode()


def tree(node: object) -> str:
    """``("AND", …)`` and names of tests; ``on X``, ``arch X`` and ``module X`` are comments."""
    if isinstance(node, str):
        negated = " negate='true'" if node.startswith("!") else ""
        node = node.lstrip("!").replace("<", "&lt;")
        reference = "release" if COMMENTS.match(node) else node
        return f"<criterion test_ref='{reference}' comment='{node}'{negated}/>"
    assert isinstance(node, tuple)
    operator, *items = node
    return f"<criteria operator='{operator}'>{''.join(map(tree, items))}</criteria>"


def scope(comment: str, test: oval.Test | None) -> Scope | None:
    kind, _, value = comment.partition(" ")
    return Scope("platform" if kind == "on" else kind, value) if comment else None


def claimed(data: bytes) -> tuple[list[Claim], Counter[str], Notes]:
    notes = Notes()
    read = oval.read("x.xml", [data[at : at + 100] for at in range(0, len(data), 100)], notes, COMMENTS)
    found = [
        claim
        for definition in read.definitions
        for claim in claims(definition.criteria, read.tests, scope, notes.drop)
    ]
    return found, notes.dropped, notes


def said(node: object) -> tuple[list[str], list[str]]:
    """What a tree claims, a line a claim, and why parts of it are left out."""
    found, dropped, _ = claimed(document(f"<definition id='d'>{tree(node)}</definition>"))
    lines = []
    for span, *restrictions in found:
        words = [f"{span.name} [{span.lower},{span.upper}{']' if span.inclusive else ')'}"]
        words += ["unaffected"] if span.unaffected else []
        words += [span.arch] if span.arch else []
        words += ["/".join(sorted(values)) for values in restrictions if values is not None]
        lines.append(" ".join(words))
    return lines, sorted(dropped.elements())


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        ("a<2", ["a [,2-1)"]),
        ("a<3", ["a [,3-1)"]),
        ("a<=2", ["a [,2-1]"]),
        ("a>1", ["a [1-1,)"]),
        ("a>0", ["a [,)"]),
        ("a>0.0.0", ["a [,)"]),
        ("a=1", ["a [1-1,1-1]"]),
        ("a=0", ["a [,) unaffected"]),
        ("a<2 x", ["a [,2-1) x86_64"]),
        ("a<2 xy", ["a [,2-1) x86_64|s390x"]),
        (("AND", "a<2", "a signed"), ["a [,2-1)"]),
        (("AND", "a<2", "a signed", "a ksplice"), ["a [,2-1)"]),
        (("AND", "a<2", "a>1"), ["a [1-1,2-1)"]),
        (("AND", "a<2", "a>0.0.0"), ["a [,2-1)"]),
        (("AND", "a<2", "a<2"), ["a [,2-1)"]),
        (("OR", "a<2", "b<2"), ["a [,2-1)", "b [,2-1)"]),
        (("AND", "on p", "a<2"), ["a [,2-1) p"]),
        (("AND", "a<2", "on p"), ["a [,2-1) p"]),
        (("AND", ("OR", "on p", "on q"), ("OR", "a<2", "b<2")), ["a [,2-1) p/q", "b [,2-1) p/q"]),
        (
            ("OR", ("AND", "on p", "a<2"), ("AND", "on q", ("OR", "a<3"))),
            ["a [,2-1) p", "a [,3-1) q"],
        ),
        (
            ("AND", "on p", ("OR", ("AND", "arch x", ("OR", "a<2")), ("AND", "arch y", ("OR", "a<3")))),
            ["a [,2-1) p x", "a [,3-1) p y"],
        ),
        (("AND", "on p", "module m:1", ("OR", ("AND", "a<2", "a signed"))), ["a [,2-1) p m:1"]),
        # Restrictions within restrictions, of which all must hold.
        (("AND", ("AND", ("OR", "on p", "on q"), ("OR", "on q", "on r")), "a<2"), ["a [,2-1) q"]),
        (("AND", ("AND", "on p", "arch x"), "a<2"), ["a [,2-1) p x"]),
        # A platform that contradicts another is nowhere.
        (("AND", "on p", ("AND", "on q", "a<2")), ["a [,2-1) "]),
        ("on p", []),
        (("OR",), []),
        (("AND",), []),
    ],
)
def test_what_a_tree_claims(node: object, expected: list[str]) -> None:
    assert said(("OR", node) if isinstance(node, str) else node) == (expected, [])


@pytest.mark.parametrize(
    ("node", "expected", "reason"),
    [
        (("AND", "a<2", "b<2"), [], TOGETHER),
        (("AND", ("OR", "a<2"), ("OR", "b<2")), [], TOGETHER),
        (("OR", ("AND", "a<2", "none a<2"), "b<2"), ["b [,2-1)"], OPAQUE),
        (("OR", "!a<2", "b<2"), ["b [,2-1)"], OPAQUE),
        (("OR", "a<2 odd", "b<2"), ["b [,2-1)"], UNKNOWN),
        (("OR", "a other", "b<2"), ["b [,2-1)"], UNKNOWN),
        (("OR", "a match", "b<2"), ["b [,2-1)"], UNKNOWN),
        (("OR", "a nothing", "b<2"), ["b [,2-1)"], UNKNOWN),
        (("OR", "no such test", "b<2"), ["b [,2-1)"], UNKNOWN),
        (("AND", "a<2", "a<3"), [], UNKNOWN),
        # Either a platform or a package: true of every system of that platform, which nobody means.
        (("AND", ("OR", "on p", "arch x"), "a<2"), [], TOGETHER),
        (("XOR", "a<2"), [], OPAQUE),
    ],
)
def test_what_cannot_be_claimed_is_left_out_and_counted(
    node: object, expected: list[str], reason: str
) -> None:
    assert said(node) == (expected, [reason])


def test_an_object_may_point_to_a_variable() -> None:
    tests = (
        "<tests><rpminfo_test id='t' check='all'><object object_ref='o'/><state state_ref='s'/></rpminfo_test></tests>"
        "<objects><rpminfo_object id='o'><name var_ref='v'/></rpminfo_object></objects>"
        "<states><rpminfo_state id='s'><evr operation='less than'>2</evr></rpminfo_state></states>"
        "<variables><constant_variable id='v'><value>a</value></constant_variable></variables>"
    )
    definition = "<definition id='d'><criteria><criterion test_ref='t'/></criteria></definition>"
    [claim], _, _ = claimed(document(definition, tests=tests))
    assert (claim.span.name, claim.span.upper) == ("a", "2")
    missing = tests.replace("id='v'", "id='w'")
    assert claimed(document(definition, tests=missing))[:2] == ([], Counter({UNKNOWN: 1}))


@pytest.mark.parametrize(
    "odd",
    [
        "<tests/>",
        "<tests><rpminfo_test id='t' check='all'/></tests>",
        "<tests><rpminfo_test id='t' check='all'><object/><state/></rpminfo_test></tests>",
        "<tests><rpminfo_test id='t' check='all'><object object_ref='t'/><state state_ref='t'/></rpminfo_test></tests>",
        "<tests><rpminfo_test/><rpminfo_object/></tests><states><rpminfo_state/></states>",
        "<tests><rpminfo_test id='t' check='all'><object object_ref='o'/></rpminfo_test></tests>"
        "<objects><rpminfo_object id='o'><name>a</name><name>b</name></rpminfo_object></objects>",
    ],
)
def test_tests_that_lead_nowhere_are_counted(odd: str) -> None:
    definition = "<definition id='d'><criteria><criterion test_ref='t'/></criteria></definition>"
    assert claimed(document(definition, tests=odd))[:2] == ([], Counter({UNKNOWN: 1}))


def test_a_definition_without_criteria_is_spoilt_and_the_next_is_read() -> None:
    good = f"<definition id='d'>{tree(('OR', 'a<2'))}</definition>"
    found, _, notes = claimed(document("<definition id='e'/>", "<definition/>", good))
    assert (notes.read, notes.spoilt, len(found)) == (3, 2, 1)


@pytest.mark.parametrize("data", [b"<html></html>", b"<updates><update/></updates>"])
def test_another_kind_of_xml_is_refused(data: bytes) -> None:
    with pytest.raises(UnreadableInput, match="not OVAL definitions"):
        claimed(data)


def test_a_document_that_is_cut_anywhere_is_refused() -> None:
    data = document(f"<definition id='d'>{tree(('AND', 'on p', 'a<2'))}</definition>")
    for end in range(0, len(data), 7):
        with pytest.raises(UnreadableInput):
            claimed(data[:end])


def test_a_definition_with_endless_criteria_is_refused() -> None:
    def chunks() -> Iterator[bytes]:
        yield b"<oval_definitions><definitions><definition id='d'><criteria>"
        for _ in range(oval.MAX_CRITERIA):
            yield b"<criterion test_ref='t'/>"
        raise AssertionError("read on")

    with pytest.raises(LimitExceeded, match="criteria"):
        oval.read("x.xml", chunks(), Notes(), COMMENTS)


@pytest.mark.parametrize(
    "part",
    [
        b"<definition id='%d'><criteria><criterion test_ref='%d'/></criteria></definition>",
        b"<rpminfo_test id='%d'><object object_ref='%d'/></rpminfo_test>",
        b"<rpminfo_object id='%d'><name>%d</name></rpminfo_object>",
        b"<rpminfo_state id='%d'><evr>%d</evr></rpminfo_state>",
    ],
)
def test_a_document_that_never_ends_is_refused_in_bounded_memory(
    monkeypatch: pytest.MonkeyPatch, part: bytes
) -> None:
    monkeypatch.setattr(oval, "MAX_KEPT", 1 << 20)

    def chunks() -> Iterator[bytes]:
        yield b"<oval_definitions><parts>"
        number = 0
        while True:
            number += 1
            yield part % (number, number)

    tracemalloc.start()
    with pytest.raises(LimitExceeded, match="to be kept"):
        oval.read("x.xml", chunks(), Notes(), COMMENTS)
    assert tracemalloc.get_traced_memory()[1] < 64 << 20
    tracemalloc.stop()


def test_what_is_kept_of_a_large_document_is_a_part_of_it() -> None:
    packages = [f"a<{number}" for number in range(300)]
    definitions = "".join(
        f"<definition id='{number}'><metadata><title>CVE-2099-{number:04}</title><description>{'word ' * 400}"
        f"</description></metadata>{tree(('AND', 'on p', ('OR', *packages)))}</definition>"
        for number in range(250)
    )
    data = document(definitions)
    notes = Notes()
    tracemalloc.start()
    read = oval.read("x.xml", (data[at : at + 65536] for at in range(0, len(data), 65536)), notes, COMMENTS)
    kept = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert sum(1 for _ in read.definitions) == notes.read == 250
    assert len(data) > 4 << 20
    assert kept < len(data) / 5


words = st.sampled_from(
    [
        "definition",
        "criteria",
        "criterion",
        "rpminfo_test",
        "rpminfo_object",
        "rpminfo_state",
        "object",
        "state",
        "name",
        "evr",
        "title",
        "cve",
        "tests",
        "definitions",
        "reference",
        "issued",
        "constant_variable",
        "value",
    ]
)
attributes = st.dictionaries(
    st.sampled_from(
        ["id", "test_ref", "object_ref", "state_ref", "operator", "check", "operation", "var_ref"]
    ),
    st.sampled_from(["d", "t", "o", "s", "OR", "AND", "all", "less than", "", "0"]),
    max_size=3,
)


def element(children: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.builds(
        lambda tag, facts, inner: (
            f"<{tag}{''.join(f' {k}={v!r}' for k, v in facts.items())}>{''.join(inner)}</{tag}>"
        ),
        words,
        attributes,
        st.lists(children, max_size=4),
    )


@settings(max_examples=300)
@given(st.lists(st.recursive(st.sampled_from(["", "1", "a"]), element, max_leaves=30), max_size=5))
def test_elements_in_any_order_are_read_or_refused(parts: list[str]) -> None:
    with suppress(UnreadableInput, LimitExceeded):
        claimed(f"<oval_definitions><all>{''.join(parts)}</all></oval_definitions>".encode())
