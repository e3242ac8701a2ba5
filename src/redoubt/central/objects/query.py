"""The original's search text for clusters' objects, as conditions in SQL: ``Namespace:shop+Deployment:"web"+Image:r/.*:1\\.2``.

Pure. Fields are joined by ``+`` and all have to hold; of the values of a field, separated by commas, one. A value is a
beginning, in any case; in quotes the whole; after ``r/`` a regular expression; after ``!`` what is not so. A field that is
not known is refused: leaving it out would find more than was asked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from redoubt.central.refusals import InvalidArgument
from redoubt.central.store.objects import Where

_LONGEST, _MOST_FIELDS, _MOST_VALUES = 4000, 20, 100

#: What a field is in SQL: a text, one of several texts, or labels.
_TEXT, _SEVERAL, _LABELS = "text", "several", "labels"


class Field(msgspec.Struct, frozen=True):
    """A column of ``o`` (the object) or ``c`` (its cluster)."""

    column: str
    kind: str = _TEXT


_EVERY = {
    "cluster": Field("c.name"),
    "cluster id": Field("o.cluster::text"),
    "namespace": Field("o.namespace"),
}
_DEPLOYMENT = {
    **_EVERY,
    "deployment": Field("o.name"),
    "deployment id": Field("o.id"),
    "deployment label": Field("o.labels", _LABELS),
    "image": Field("o.images", _SEVERAL),
    "image sha": Field("o.images", _SEVERAL),
}

#: Fields by the kind of object, and how each is written to people.
FIELDS: dict[str, dict[str, Field]] = {
    "deployment": _DEPLOYMENT,
    "pod": {**_EVERY, "pod name": Field("o.name"), "pod id": Field("o.id")},
    "node": {**_EVERY, "node": Field("o.name"), "node id": Field("o.id"), "node label": Field("o.labels", _LABELS)},
    "namespace": {**_EVERY, "namespace id": Field("o.id"), "namespace label": Field("o.labels", _LABELS)},
    "secret": {**_EVERY, "secret": Field("o.name"), "secret id": Field("o.id")},
    "serviceaccount": {**_EVERY, "service account": Field("o.name"), "service account label": Field("o.labels", _LABELS)},
    "role": {**_EVERY, "role": Field("o.name"), "role id": Field("o.id")},
    "binding": {**_EVERY, "role binding": Field("o.name"), "role binding id": Field("o.id")},
    "networkpolicy": {**_EVERY, "network policy": Field("o.name"), "network policy id": Field("o.id")},
}  # fmt: skip

#: What objects can be sorted by.
_ORDERS = {
    "cluster": "c.name",
    "namespace": "o.namespace",
    "created": "o.created",
    **dict.fromkeys(
        (
            "deployment",
            "pod name",
            "node",
            "secret",
            "service account",
            "role",
            "role binding",
            "network policy",
        ),
        "o.name",
    ),
}


def order(field: str, *, reverse: bool) -> str:
    """The order by a field; by name where none is given. Raises ``InvalidArgument``."""
    column = _ORDERS.get(field.strip().lower(), "" if field.strip() else "o.name")
    if not column:
        known = ", ".join(sorted(name.title() for name in _ORDERS))
        raise InvalidArgument(
            f"pagination.sortOption.field {field[:80]!r} is not one that is sorted by: {known}"
        )
    direction = "DESC NULLS LAST" if reverse else "ASC NULLS LAST"
    return f"{column} {direction}, o.cluster, o.id"


def where(kind: str, query: str, given: Where) -> Where:
    """What ``query`` asks of objects of a kind, in addition to a condition that is ``given``. Raises ``InvalidArgument``."""
    if len(query) > _LONGEST or "\x00" in query:
        raise InvalidArgument("the query is too long, or has a NUL in it")
    fields = FIELDS[kind]
    conditions, values = [given.text], list(given.values)
    parts = [part for part in split(query, "+") if part.strip()]
    if len(parts) > _MOST_FIELDS:
        raise InvalidArgument(f"a query has at most {_MOST_FIELDS} fields")
    for part in parts:
        name, colon, text = part.partition(":")
        field = fields.get(name.strip().lower())
        if not colon or field is None:
            known = ", ".join(sorted(each.title() for each in fields))
            raise InvalidArgument(
                f"the query {part[:80]!r} is not understood; write FIELD:VALUE, of the fields {known}"
            )
        asked = [value.strip() for value in split(text, ",") if value.strip()]
        if not asked or len(asked) > _MOST_VALUES:
            raise InvalidArgument(f"the query {part[:80]!r} has no value, or more than {_MOST_VALUES}")
        alternatives = [_condition(field, value, values) for value in asked]
        conditions.append("(" + " OR ".join(alternatives) + ")")
    return Where(" AND ".join(conditions), tuple(values))


def split(text: str, at: str) -> Iterator[str]:
    """``text`` in parts; within double quotes it is not split."""
    part, quoted = "", False
    for character in text:
        if character == '"':
            quoted = not quoted
        if character == at and not quoted:
            yield part
            part = ""
        else:
            part += character
    yield part


def _condition(field: Field, value: str, values: list[object]) -> str:
    negated = value.startswith("!")
    asked = value[1:] if negated else value
    if field.kind == _LABELS:
        text = _label(field, asked, values)
    elif field.kind == _SEVERAL:
        compared = _compared("each", asked, values)
        text = f"EXISTS (SELECT FROM unnest({field.column}) AS each WHERE {compared})"
    else:
        text = _compared(field.column, asked, values)
    return f"NOT ({text})" if negated else text


def _label(field: Field, asked: str, values: list[object]) -> str:
    key, equals, value = asked.partition("=")
    text = _compared("l.key", key, values)
    if equals:
        text += f" AND {_compared('l.value', value, values)}"
    return f"EXISTS (SELECT FROM jsonb_each_text({field.column}) AS l WHERE {text})"


def _compared(column: str, asked: str, values: list[object]) -> str:
    if asked.startswith("r/"):
        try:
            re.compile(asked[2:])
        except (re.error, RecursionError, OverflowError):
            raise InvalidArgument(f"the query's regular expression {asked[:80]!r} is none") from None
        values.append(asked[2:])
        return f"{column} ~* ${len(values)}"
    if len(asked) > 1 and asked.startswith('"') and asked.endswith('"'):
        values.append(asked[1:-1])
        return f"{column} = ${len(values)}"
    if asked in ("", "*"):
        return f"{column} <> ''"
    beginning = asked.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_")
    values.append(beginning + "%")
    return f"{column} ILIKE ${len(values)}"
