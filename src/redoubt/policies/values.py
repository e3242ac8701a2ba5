"""What a criterion's values mean: each is made into a question once, and asked of what an object says. Pure.

A question takes what was read from the object. Values of one group are joined by OR or AND and may be turned round. Of several things that an object says (a list) one has to fit each value that has to be
fitted; an empty list fits none. Rules: StackRox's ``pkg/booleanpolicy/evaluator/base_evaluators.go`` and
``querybuilders``.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from redoubt.errors import UsageError
from redoubt.policies import patterns
from redoubt.policies.patterns import Matcher

_COMPARISON = re.compile(r"(<=|>=|<|>)?\s*(.*)", re.DOTALL)
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
#: Two scores are the same when they are this close.
_CLOSE = 1e-4
#: Parts of a variable: where it is from, its name, its content. There are few places where one can be from.
_VARIABLE = 3
#: A day in the year 1 is as old as anything gets.
_MOST_DAYS = 700_000


class BadValue(UsageError):
    """A value that has no meaning for its criterion. The message says which and why."""


class Clock:
    """The moment of an evaluation. ``until`` is when its outcome may be another, None where time changes nothing."""

    __slots__ = ("now", "until")

    def __init__(self, now: datetime) -> None:
        if now.tzinfo is None:
            raise ValueError("a moment without a zone")
        self.now = now
        self.until: datetime | None = None

    def older(self, moment: datetime, age: timedelta) -> bool:
        """Whether ``moment`` is more than ``age`` ago; if not, it will be some day."""
        try:
            flips = moment + age
        except OverflowError:
            return False
        if flips < self.now:
            return True
        if self.until is None or flips < self.until:
            self.until = flips
        return False


#: What was read from an object → whether it fits.
Fits = Callable[[Any], bool]


class Age(msgspec.Struct, frozen=True):
    """A question about a moment: whether it is more than so long ago. Only the clock of an evaluation can answer."""

    more_than: timedelta


class Asked(msgspec.Struct, frozen=True):
    """A group's values: ``values`` are joined by AND where ``every``, by OR else; ``negate`` turns the answer round."""

    values: tuple[str, ...]
    every: bool = False
    negate: bool = False


#: A group's values → the question. Raises :class:`BadValue` or :class:`patterns.BadPattern`.
Kind = Callable[[Asked], Fits | Age]


def _joined(asked: Asked, matchers: Sequence[Fits], *, text: bool = False) -> Fits:
    """One question out of a group's values."""
    one: Fits
    if len(matchers) == 1:
        one = matchers[0]
    elif asked.every:
        one = lambda given: all(matcher(given) for matcher in matchers)  # noqa: E731
    elif text:
        one = patterns.any_of(matchers)
    else:
        one = lambda given: any(matcher(given) for matcher in matchers)  # noqa: E731
    return (lambda given: not one(given)) if asked.negate else one


def _texts(make: Callable[[str], Matcher]) -> Callable[[Asked], Fits]:
    return lambda asked: _joined(asked, [make(value) for value in asked.values], text=True)


def _lists(make: Callable[[str], Matcher]) -> Callable[[Asked], Fits]:
    def some(value: str) -> Callable[[Sequence[str]], bool]:
        fits = make(value)
        return lambda given: any(fits(item) for item in given)

    return lambda asked: _joined(asked, [some(value) for value in asked.values])


def expression(value: str) -> Matcher:
    """What a value of these criteria matches: the whole text, or with ``c/`` a part of it."""
    value = value.removeprefix("r/")
    return patterns.contained(value[2:]) if value.startswith("c/") else patterns.whole(value)


#: Regular expressions that a text has to match as a whole; that it has to contain; beginnings (``patterns.term``).
regex = _texts(expression)
containing = _texts(lambda value: patterns.contained(value.removeprefix("r/").removeprefix("c/")))
beginning = _texts(patterns.term)
#: The same of lists of texts.
beginnings = _lists(patterns.term)
words = _lists(patterns.exactly)
paths = _lists(lambda value: patterns.path_pattern(value.removeprefix("g/")))


def _fix(value: str) -> Matcher:
    """``.*`` means that there is a fix, and not whatever there is."""
    if value == ".*":
        return bool
    return expression(value)


fixes = _texts(_fix)


def boolean(asked: Asked) -> Fits:
    """``true`` or ``false``."""
    return _joined(asked, [frozenset({_truth(value)}).__contains__ for value in asked.values])


def opposite(asked: Asked) -> Fits:
    """``true`` where the object says false."""
    return _joined(asked, [frozenset({not _truth(value)}).__contains__ for value in asked.values])


def _truth(value: str) -> bool:
    if value.lower() not in ("true", "false"):
        raise BadValue(f"{_shown(value)} is neither true nor false")
    return value.lower() == "true"


def _compared(value: str) -> tuple[str, str]:
    match = _COMPARISON.fullmatch(value)
    assert match is not None  # it fits every text
    return match[1] or "", match[2].strip()


def number(asked: Asked) -> Fits:
    """``>= 7.5``: scores, cores, megabytes."""

    def make(value: str) -> Callable[[float], bool]:
        sign, rest = _compared(value)
        try:
            limit = float(rest) if re.fullmatch(r"[0-9.]{1,40}", rest) else None
        except ValueError:
            limit = None
        if limit is None:
            raise BadValue(f"{_shown(value)} is no number")
        if not sign:
            return lambda given: abs(given - limit) < _CLOSE
        compare = _COMPARE[sign]
        return lambda given: compare(given, limit)

    return _joined(asked, [make(value) for value in asked.values])


def integer(asked: Asked) -> Fits:
    """``<= 1023``: ports, replicas, user identifiers."""

    def make(value: str) -> Callable[[int], bool]:
        sign, rest = _compared(value)
        if not re.fullmatch(r"[0-9]{1,19}", rest):
            raise BadValue(f"{_shown(value)} is no whole number")
        limit = int(rest)
        if not sign:
            return lambda given: given == limit
        compare = _COMPARE[sign]
        return lambda given: compare(given, limit)

    return _joined(asked, [make(value) for value in asked.values])


def ranked(names: Sequence[str], *, ending: str = "", at_least: bool = False) -> Kind:
    """Enumerations. ``>= IMPORTANT`` goes by their order; ``at_least`` is meant always; underscores may be left out.

    What is unset fits nothing, turned round or not, and neither does a name that is not known.
    """
    ranks = {name + ending: rank for rank, name in enumerate(names) if name != "UNSET"}
    by_name = {name.replace("_", ""): rank for rank, name in enumerate(names)}

    def make(value: str) -> Callable[[int], bool]:
        sign, rest = _compared(value)
        rank = by_name.get(rest.upper().removesuffix(ending).replace("_", ""))
        if rank is None:
            raise BadValue(f"{_shown(value)} is none of {', '.join(names)}")
        compare = _COMPARE[">=" if at_least else sign] if sign or at_least else operator.eq
        return lambda given: compare(given, rank)

    def kind(asked: Asked) -> Fits:
        fits = _joined(asked, [make(value) for value in asked.values])
        return frozenset(name for name, rank in ranks.items() if fits(rank)).__contains__

    return kind


def days(asked: Asked) -> Age:
    """More than so many days ago."""
    if len(asked.values) != 1 or asked.negate:
        raise BadValue("one number of days is meant")
    value = asked.values[0].strip()
    if not re.fullmatch(r"[0-9]{1,9}", value):
        raise BadValue(f"{_shown(value)} is no number of days")
    return Age(timedelta(days=min(int(value), _MOST_DAYS)))


def _pair(value: str) -> Callable[[Mapping[str, str]], bool]:
    """``key=value``, both expressions: whether there is such a pair. What is empty is whatever there is."""
    key, _, content = value.partition("=")
    # Few are in use, and some expressions take long.
    fits_key, fits_content = patterns.remembered(expression(key)), patterns.remembered(expression(content))

    def fits(given: Mapping[str, str]) -> bool:
        for name in given:  # noqa: SIM110  half the time of any()
            if fits_key(name) and fits_content(given[name]):
                return True
        return False

    return fits


def has_pair(asked: Asked) -> Fits:
    """A label or annotation that must not be there."""
    return _joined(asked, [_pair(value) for value in asked.values])


def lacks_pairs(asked: Asked) -> Fits:
    """Labels or annotations of which one has to be there: it fits where there is none of them.

    AND means the same as OR, as in the original, where either is a violation when all are missing.
    """
    there = _joined(Asked(asked.values), [_pair(value) for value in asked.values])
    return there if asked.negate else lambda given: not there(given)


def not_dropped(asked: Asked) -> Fits:
    """Capabilities that have to be dropped: it fits where they are not. Who drops ALL drops each."""
    dropped = words(Asked(asked.values, asked.every))
    total = any(value.upper() == "ALL" for value in asked.values)

    def fits(given: Sequence[str]) -> bool:
        if not total and any(item.upper() == "ALL" for item in given):
            return False
        return not dropped(given)

    return fits


def compound(parts: int) -> Kind:
    """``a=b`` or ``a=b=c``, expressions for parts of one thing: all have to match. What is empty is whatever there is."""

    def make(value: str) -> Callable[[Sequence[str]], bool]:
        pieces = value.split("=", parts - 1)
        if len(pieces) != parts:
            raise BadValue(f"{_shown(value)} has not {parts} parts with = between them")
        fitting = [(at, patterns.whole(piece)) for at, piece in enumerate(pieces) if piece not in ("", ".*")]
        if parts == _VARIABLE:
            fitting = [(at, patterns.remembered(fits) if at == 0 else fits) for at, fits in fitting]
        # Asked of every variable of every container: all() costs more than what it asks.
        if len(fitting) == 1:
            ((only, fits),) = fitting
            return lambda given: fits(given[only])
        if len(fitting) == 2:
            (one, fits_one), (other, fits_other) = fitting
            return lambda given: fits_one(given[one]) and fits_other(given[other])
        return lambda given: all(fits(given[at]) for at, fits in fitting)

    return lambda asked: _joined(asked, [make(value) for value in asked.values])


def verified_by(asked: Asked) -> Fits:
    """Signature integrations: it fits where none of them vouches for the image."""
    vouched = words(Asked(asked.values))
    return lambda given: not vouched(given)


def _shown(value: str) -> str:
    return repr(value if len(value) <= 80 else value[:77] + "…")
