"""The original's search text, ``Field:value1,value2+Field2:value``, as a condition of SQL. Pure.

``+`` joins fields by AND, ``,`` values by OR; what is negated (``!x``) must not hold, whatever the other values say. A value
is how a text begins, in any case; ``"x"`` the whole text, ``r/x`` an expression, ``c/x`` a part, ``*`` that there is one,
``-`` that there is none; numbers and moments are compared (``>=7``, ``>30d``: longer ago than that). A field that
is not known is refused: leaving it out would find, or delete, more than was asked for.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import Enum

import msgspec

from redoubt.central.refusals import InvalidArgument
from redoubt.policies import patterns
from redoubt.policies.patterns import Matcher

_LONGEST = 4000
_LONGEST_EXPRESSION = 200
_SPECIAL = re.compile(r"\\[0-9mMyYAZ]|\(\?")
_COMPARED = re.compile(r"(>=|<=|>|<)\s*(.+)", re.DOTALL)
_DURATION = re.compile(r"(\d{1,6}(?:\.\d{1,6})?)\s*([dhms])")
_RANGE = re.compile(r"tr/(\d{1,15})-(\d{1,15})")
_UNITS = {"d": 86_400, "h": 3600, "m": 60, "s": 1}


class Kind(Enum):
    """What is in a column."""

    TEXT = "text"
    TEXTS = "texts"
    ENUM = "enum"
    NUMBER = "number"
    TIME = "time"
    BOOLEAN = "boolean"
    #: A jsonb of texts by their names: ``app=web``, or ``app`` for any.
    LABELS = "labels"


class Column(msgspec.Struct, frozen=True):
    """Where a field lies. ``words`` are those of an ENUM: the word as it is searched → what the column has."""

    sql: str
    kind: Kind = Kind.TEXT
    words: Mapping[str, object] = {}


class Term(msgspec.Struct, frozen=True):
    """One value."""

    text: str
    quoted: bool = False
    negated: bool = False


class Asked(msgspec.Struct, frozen=True):
    """One field and its values."""

    field: str
    terms: tuple[Term, ...]


def parse(query: str) -> tuple[Asked, ...]:
    """Raises ``InvalidArgument`` for what is not understood."""
    if len(query) > _LONGEST or "\x00" in query:
        raise InvalidArgument("the query is too long, or has a NUL in it")
    found = []
    for part in _split(query, "+"):
        if not part.strip():
            continue
        field, colon, rest = part.partition(":")
        terms = tuple(_term(each) for each in _split(rest, ",") if each.strip())
        if not colon or not field.strip() or not terms:
            raise InvalidArgument(f"the query {part[:80]!r} is not understood; write FIELD:VALUE")
        found.append(Asked(field.strip(), terms))
    return tuple(found)


def where(
    asked: Sequence[Asked], columns: Mapping[str, Column], values: list[object], now: datetime | None = None
) -> list[str]:
    """Conditions that all have to hold; what they compare with is added to ``values``. ``columns`` are by lower-case names.

    Raises ``InvalidArgument`` for a field that is none, or a value that its field cannot have.
    """
    now = now or datetime.now(UTC)
    conditions = []
    for each in asked:
        column = columns.get(each.field.lower())
        if column is None:
            raise InvalidArgument(f"there is no field {each.field[:80]!r} to search by here")
        positive = [_condition(column, term, values, now) for term in each.terms if not term.negated]
        negative = [_condition(column, term, values, now) for term in each.terms if term.negated]
        if positive:
            conditions.append("(" + " OR ".join(positive) + ")")
        conditions += [f"NOT coalesce({one}, FALSE)" for one in negative]
    return conditions


def fits(asked: Sequence[Asked], given: Mapping[str, Sequence[str]]) -> bool:
    """Whether texts, by lower-case names of fields, are what is asked for: the same for what is not in a table.

    Raises ``InvalidArgument`` as ``where``.
    """
    for each in asked:
        texts = given.get(each.field.lower())
        if texts is None:
            raise InvalidArgument(f"there is no field {each.field[:80]!r} to search by here")
        positive = [_text_fits(term, texts) for term in each.terms if not term.negated]
        if positive and not any(positive):
            return False
        if any(_text_fits(term, texts) for term in each.terms if term.negated):
            return False
    return True


def _text_fits(term: Term, texts: Sequence[str]) -> bool:
    if term.quoted:
        return term.text in texts
    if term.text in ("*", "-"):
        return any(texts) == (term.text == "*")
    if term.text.startswith("r/"):
        tested = _matcher(term.text[2:])
        return any(tested(each[:_LONGEST]) for each in texts)
    wanted = term.text.lower()
    if wanted.startswith("c/"):
        return any(wanted[2:] in each.lower() for each in texts)
    return any(each.lower().startswith(wanted) for each in texts)


def _split(text: str, by: str) -> list[str]:
    parts, quoted, begin = [], False, 0
    for at, character in enumerate(text):
        if character == '"':
            quoted = not quoted
        elif character == by and not quoted:
            parts.append(text[begin:at])
            begin = at + 1
    if quoted:
        raise InvalidArgument("the query has a quotation mark without its other one")
    return [*parts, text[begin:]]


def _term(given: str) -> Term:
    text, negated = given.strip(), False
    if text.startswith("!!"):
        raise InvalidArgument("'!!' is not understood here")
    if text.startswith("!"):
        text, negated = text[1:].strip(), True
    if len(text) >= 2 and text[0] == text[-1] == '"':
        return Term(text[1:-1], quoted=True, negated=negated)
    if not text:
        raise InvalidArgument("a value of the query is empty")
    return Term(text, negated=negated)


def _condition(column: Column, term: Term, values: list[object], now: datetime) -> str:
    def value(given: object, kind: str) -> str:
        values.append(given)
        return f"${len(values)}::{kind}"

    if term.text in ("*", "-") and not term.quoted:
        return _presence(column, there=term.text == "*")
    match column.kind:
        case Kind.TEXT:
            return _text(column.sql, term, values)
        case Kind.TEXTS:
            return f"EXISTS (SELECT FROM unnest({column.sql}) AS one WHERE {_text('one', term, values)})"
        case Kind.LABELS:
            return f"EXISTS (SELECT FROM jsonb_each_text({column.sql}) AS one WHERE {_label(term, values)})"
        case Kind.ENUM:
            return f"{column.sql} = ANY ({value(_words(column, term), _type(column))})"
        case Kind.BOOLEAN:
            word = term.text.lower()
            if word not in ("true", "false"):
                raise InvalidArgument(f"{term.text[:80]!r} is neither true nor false")
            return column.sql if word == "true" else f"NOT {column.sql}"
        case Kind.NUMBER:
            operator, text = _compared(term)
            try:
                return f"{column.sql} {operator} {value(float(text), 'float8')}"
            except ValueError:
                raise InvalidArgument(f"{term.text[:80]!r} is no number") from None
        case Kind.TIME:
            return _time(column.sql, term, values, now)


def _presence(column: Column, *, there: bool) -> str:
    if column.kind is Kind.TEXT:
        return f"{column.sql} {'<>' if there else '='} ''"
    if column.kind is Kind.TEXTS:
        return f"cardinality({column.sql}) {'>' if there else '='} 0"
    if column.kind is Kind.LABELS:
        return f"{column.sql} {'<>' if there else '='} '{{}}'"
    return f"{column.sql} IS {'NOT ' if there else ''}NULL"


def _label(term: Term, values: list[object]) -> str:
    """A name and what it has; each is how a text begins, unless in quotes both are whole."""
    name, equals, text = term.text.partition("=")
    found = _text("one.key", Term(name, quoted=term.quoted), values)
    return f"{found} AND {_text('one.value', Term(text, quoted=term.quoted), values)}" if equals else found


def _text(sql: str, term: Term, values: list[object]) -> str:
    operator, given = "ILIKE", _escaped(term.text) + "%"
    if term.quoted:
        operator, given = "=", term.text
    elif term.text.startswith("r/"):
        operator, given = "~*", _expression(term.text[2:])
    elif term.text.startswith("c/"):
        given = "%" + _escaped(term.text[2:]) + "%"
    values.append(given)
    return f"{sql} {operator} ${len(values)}::text"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_")


def _expression(text: str) -> str:
    """An expression that Python and PostgreSQL read alike, and that does not take for ever. It has to fit the whole text."""
    if len(text) > _LONGEST_EXPRESSION or _SPECIAL.search(text):
        raise InvalidArgument(
            f"an expression has at most {_LONGEST_EXPRESSION} characters, and no back references"
        )
    try:
        with warnings.catch_warnings(action="ignore"):
            re.compile(text)
    except (re.error, OverflowError, RecursionError):
        raise InvalidArgument(f"{text[:80]!r} is no expression") from None
    return f"^(?:{text})$"


def _matcher(text: str) -> Matcher:
    """The same here: by RE2, whose time grows with the text alone. Python's own would look for years at ``.*.*.*…!``."""
    _expression(text)
    try:
        return patterns.whole(text)
    except patterns.BadPattern as error:
        raise InvalidArgument(f"{text[:80]!r}: {error}") from None


def _type(column: Column) -> str:
    return "text[]" if all(isinstance(each, str) for each in column.words.values()) else "int[]"


def _words(column: Column, term: Term) -> list[object]:
    operator, text = _compared(term)
    wanted = text.strip().upper().replace(" ", "_")
    if operator != "=":
        order = list(column.words.values())
        at = [order.index(column.words[name]) for name in column.words if name.startswith(wanted)]
        if not at or not wanted:
            raise InvalidArgument(f"{term.text[:80]!r} is none of {', '.join(column.words)}")
        tests = {">": range(at[-1] + 1, len(order)), ">=": range(at[0], len(order)),
                 "<": range(at[0]), "<=": range(at[-1] + 1)}  # fmt: skip
        return [order[each] for each in tests[operator]]
    if term.text.startswith("r/") and not term.quoted:
        tested = _matcher(term.text[2:])
        return [value for name, value in column.words.items() if tested(name)]
    if term.quoted:
        return [value for name, value in column.words.items() if name == wanted]
    return [value for name, value in column.words.items() if name.startswith(wanted)]


def _compared(term: Term) -> tuple[str, str]:
    found = None if term.quoted else _COMPARED.fullmatch(term.text)
    return ("=", term.text) if found is None else (found[1], found[2])


def _time(sql: str, term: Term, values: list[object], now: datetime) -> str:
    try:
        if found := _RANGE.fullmatch(term.text):
            ends = [datetime.fromtimestamp(int(each) / 1000, UTC) for each in found.groups()]
            values += ends
            return f"{sql} BETWEEN ${len(values) - 1}::timestamptz AND ${len(values)}::timestamptz"
        operator, text = _compared(term)
        if found := _DURATION.fullmatch(text.strip()):
            ago = now - timedelta(seconds=float(found[1]) * _UNITS[found[2]])
            values.append(ago)
            # '>30d' is what is longer ago than 30 days.
            turned = {">": "<", ">=": "<=", "<": ">", "<=": ">=", "=": "<="}[operator]
            return f"{sql} {turned} ${len(values)}::timestamptz"
        moment = _moment(text.strip())
    except (ValueError, OverflowError, OSError):
        raise InvalidArgument(
            f"{term.text[:80]!r} is no moment; write >30d, 2030-01-31 or tr/FROM-TO"
        ) from None
    if operator == "=":
        values += [moment, moment + timedelta(days=1)]
        return f"({sql} >= ${len(values) - 1}::timestamptz AND {sql} < ${len(values)}::timestamptz)"
    values.append(moment)
    return f"{sql} {operator} ${len(values)}::timestamptz"


def _moment(text: str) -> datetime:
    if re.fullmatch(r"\d\d/\d\d/\d{4}", text):
        found = datetime.strptime(text, "%m/%d/%Y")  # noqa: DTZ007  # the zone is added below
    else:
        found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)
