"""Filters of runs as SQLite queries.

The text of a query is put together from the fragments written here and in the table of
subjects alone; whatever comes from a user, values and names of attributes, is a
parameter. What is searched decides how:

- In the usual order each status is read along `runs_listed`, which has that order, and
  the statuses are merged; so a page costs no more than it is long if most runs match.
- If the filter asks for an attribute or an ID that few runs have, those are looked up
  first and sorted.
- The newest first is the order of the keys, along which they are read.
- In any other order the runs that match are sorted, of which the database keeps only a
  page.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from everact.runtime.core.records import AttributeKind
from everact.runtime.core.statuses import RunStatus
from everact.runtime.errors import InvalidFilter
from everact.runtime.filters.operators import Operator, Scalar
from everact.runtime.filters.tree import Both, Comparison, Condition, Either
from everact.runtime.store import searching
from everact.runtime.store.base import Search
from everact.runtime.store.searching import Subject

FEW = 5_000
"""Runs that are looked up and sorted rather than met on the way through all."""

GROUPS = 10_000
"""Groups of one count."""

_BEYOND: Final = "\U0010ffff"

_EXPRESSIONS: Final = {
    "history_length": "(select count(*) from journal where run_key = runs.key)",
    "parent_workflow_id": (
        "(select workflow_id from runs as parent where parent.key = runs.parent_key)"
    ),
    "parent_run_id": (
        "(select run_id from runs as parent where parent.key = runs.parent_key)"
    ),
    "execution_time": (
        "coalesce((select value from attributes where run_key = runs.key"
        f" and name = '{searching.EXECUTION_TIME}'), runs.started_at)"
    ),
    "run_name": "nullif(runs.run_name, '')",
    "kind": "nullif(runs.kind, '')",
    "aside": "iif(runs.status = 0, nullif(runs.aside, ''), null)",
}
_PLAIN: Final = frozenset(
    {"workflow_id", "run_id", "root_run_id", "name", "status", "queue"}
    | {"started_at", "closed_at"}
)
_SIGNS: Final = {
    Operator.EQUAL: "=",
    Operator.LESS: "<",
    Operator.AT_MOST: "<=",
    Operator.GREATER: ">",
    Operator.AT_LEAST: ">=",
}
_POSITIVE: Final = frozenset(Operator) - {
    Operator.NOT_EQUAL,
    Operator.IS_NULL,
}


class Query(NamedTuple):
    """A statement and what is bound to its parameters."""

    sql: str
    given: dict[str, Scalar]


Count = Callable[[Query], int]
"""Runs a query of one number."""


class _Bound:
    """The parameters of one statement: each value gets a name of its own."""

    def __init__(self) -> None:
        self.given: dict[str, Any] = {}

    def __call__(self, value: Any) -> str:
        name = f"p{len(self.given)}"
        self.given[name] = value
        return f":{name}"


def page(wanted: Search, count: Count) -> list[Query]:
    """The statements for a page, one after the other until it is full.

    Each gives keys, and with a key the place in the order of the search; `limit` is
    bound to how many are still wanted. `count` answers how many have what few may have.
    """
    if wanted.filter.group is not None:
        raise InvalidFilter("a list has no groups", wanted.filter.group.at)
    bound = _Bound()
    condition = _condition(wanted.filter.condition, wanted.declared, bound)
    driver = _driver(wanted, bound, count)
    if wanted.filter.order or driver is not None:
        return [Query(_sorted(wanted, condition, driver, bound), bound.given)]
    if wanted.newest:
        return [Query(_newest(wanted, condition, bound), bound.given)]
    return [Query(sql, bound.given) for sql in _merged(wanted, condition, bound)]


def count(wanted: Search, number: Count) -> Query:
    """The statement for a count, by groups if the filter has them."""
    if wanted.filter.order:
        raise InvalidFilter("a count has no order", wanted.filter.order[0].field.at)
    bound = _Bound()
    condition = _condition(wanted.filter.condition, wanted.declared, bound)
    where = _where(wanted, condition, _driver(wanted, bound, number), bound)
    field = wanted.filter.group
    if field is None:
        return Query(f"select null, count(*) from {where}", bound.given)
    subject = searching.grouped(field, wanted.declared)
    value = _value(subject, bound)
    return Query(
        f"select {value} as value, count(*) as many from {where}"
        f" group by value order by many desc, value limit {GROUPS + 1}",
        bound.given,
    )


# -- the shapes of a query -----------------------------------------------------------


def _merged(wanted: Search, condition: str, bound: _Bound) -> Iterator[str]:
    """In the usual order: the open runs, then the closed ones, status by status."""
    statuses = searching.possible_statuses(wanted.filter.condition, wanted.declared)
    section, closed_at, started_at, key = wanted.after or (0, 0.0, None, None)
    if key is None:
        after_open = after_closed = "1"
    else:
        last = f"{bound(started_at)}, {bound(key)}"
        after_open = f"(started_at, key) < ({last})"
        after_closed = f"(closed_at, started_at, key) < ({bound(closed_at)}, {last})"
    along = (
        f"from runs indexed by runs_listed where workspace = {bound(wanted.workspace)}"
    )
    if not section and RunStatus.RUNNING in statuses:
        yield (
            f"select key, 0, 0.0, started_at as began, key as last {along}"
            f" and status = 0 and closed_at is null and {after_open} and {condition}"
            " order by began desc, last desc limit :limit"
        )
    after = after_closed if section else "1"
    closed = [
        "select key, 1, closed_at as ended, started_at as began, key as last"
        f" {along} and status = {int(status)} and {after} and {condition}"
        for status in sorted(statuses - {RunStatus.RUNNING})
    ]
    if closed:
        order = " order by ended desc, began desc, last desc limit :limit"
        yield " union all ".join(closed) + order


def _newest(wanted: Search, condition: str, bound: _Bound) -> str:
    """By the key downwards; along any index all of them would be sorted first."""
    after = "1" if wanted.after is None else f"key < {bound(wanted.after[0])}"
    workspace = bound(wanted.workspace)
    return (
        f"select key, key as last from runs where +workspace = {workspace}"
        f" and {after} and {condition} order by key desc limit :limit"
    )


def _sorted(wanted: Search, condition: str, driver: str | None, bound: _Bound) -> str:
    """In any order: what matches is sorted by terms that are never null."""
    terms = _terms(wanted, bound)
    names = [f"t{number}" for number in range(len(terms))]
    where = _where(wanted, condition, driver, bound)
    after = "1" if wanted.after is None else _after(names, terms, wanted.after, bound)
    named = list(zip(names, terms, strict=True))
    shown = ", ".join(f"{term} as {name}" for name, (term, _) in named)
    order = ", ".join(
        f"{name} {'desc' if down else 'asc'}" for name, (_, down) in named
    )
    return (
        f"select key, {', '.join(names)} from (select key, {shown} from {where})"
        f" where {after} order by {order} limit :limit"
    )


def _terms(wanted: Search, bound: _Bound) -> list[tuple[str, bool]]:
    """What to sort by, each with whether downwards; a run without a value is last."""
    if not wanted.filter.order and wanted.newest:
        return [("runs.key", True)]
    if not wanted.filter.order:
        return [
            ("runs.status <> 0", False),
            ("ifnull(runs.closed_at, 0.0)", True),
            ("runs.started_at", True),
            ("runs.key", True),
        ]
    terms = []
    for ordering in wanted.filter.order:
        subject = searching.ordered(ordering.field, wanted.declared)
        value = _value(subject, bound)
        terms += [
            (f"{value} is null", False),
            (f"ifnull({value}, 0)", ordering.descending),
        ]
    return [*terms, ("runs.key", True)]


def _after(
    names: list[str],
    terms: list[tuple[str, bool]],
    place: tuple[Any, ...],
    bound: _Bound,
) -> str:
    """Whether a run comes after a place, term by term."""
    found, before = [], ""
    for name, (_, down), last in zip(names, terms, place, strict=True):
        given, sign = bound(last), "<" if down else ">"
        found.append(f"({before}{name} {sign} {given})")
        before += f"{name} = {given} and "
    return _joined(found, " or ")


def _where(wanted: Search, condition: str, driver: str | None, bound: _Bound) -> str:
    """The runs that match, from the few that come into question or from all."""
    workspace = bound(wanted.workspace)
    if driver is not None:
        # The sign keeps the index of the workspace from being taken.
        return (
            f"runs where runs.key in ({driver}) and +workspace = {workspace}"
            f" and {condition}"
        )
    statuses = searching.possible_statuses(wanted.filter.condition, wanted.declared)
    few = ", ".join(str(int(status)) for status in sorted(statuses)) or "-1"
    which = f" and status in ({few})" if len(statuses) < len(RunStatus) else ""
    return (
        f"runs indexed by runs_listed where workspace = {workspace}{which}"
        f" and {condition}"
    )


def _driver(wanted: Search, bound: _Bound, count: Count) -> str | None:
    """A query for the keys of the few runs that come into question, if they are few."""
    for comparison in _needed(wanted.filter.condition):
        subject = searching.subject_of(comparison.field, wanted.declared)
        if comparison.operator not in _POSITIVE:
            continue
        trial = _Bound()
        keys = _keys(wanted, subject, comparison, trial)
        if keys is None:
            continue
        probe = f"select count(*) from ({keys} limit {FEW + 1})"
        if count(Query(probe, trial.given)) <= FEW:
            return _keys(wanted, subject, comparison, bound)
    return None


def _keys(
    wanted: Search, subject: Subject, comparison: Comparison, bound: _Bound
) -> str | None:
    """The keys of the runs of which one comparison holds, if an index has them."""
    if not subject.column:
        if subject.kind is AttributeKind.TEXT:
            return None
        return "select run_key from attributes as a where " + _attribute_test(
            subject, comparison, bound
        )
    if subject.name != "workflow_id" or comparison.operator is Operator.IS_NOT_NULL:
        return None
    values = searching.values_of(subject, comparison)
    test = _test("runs.workflow_id", comparison.operator, values, bound)
    return (
        "select key from runs indexed by runs_by_id"
        f" where workspace = {bound(wanted.workspace)} and {test}"
    )


def _needed(condition: Condition | None) -> Iterator[Comparison]:
    """The comparisons that must hold, whatever else does."""
    if isinstance(condition, Comparison):
        yield condition
    elif isinstance(condition, Both):
        for part in condition.parts:
            yield from _needed(part)


# -- conditions ------------------------------------------------------------------------


def _condition(
    condition: Condition | None,
    declared: Mapping[str, AttributeKind],
    bound: _Bound,
) -> str:
    if condition is None:
        return "1"
    if isinstance(condition, Comparison):
        subject = searching.subject_of(condition.field, declared)
        if subject.column:
            values = searching.values_of(subject, condition)
            return _test(_column(subject), condition.operator, values, bound)
        return _attribute(subject, condition, bound)
    parts = (_condition(part, declared, bound) for part in condition.parts)
    return _joined(parts, " or " if isinstance(condition, Either) else " and ")


def _column(subject: Subject) -> str:
    if subject.name in _PLAIN:
        return f"runs.{subject.name}"
    return _EXPRESSIONS[subject.name]


def _value(subject: Subject, bound: _Bound) -> str:
    """What a run has of a subject, or null."""
    if subject.column:
        return _column(subject)
    return (
        "(select value from attributes as a where a.run_key = runs.key"
        f" and a.name = {bound(subject.name)} and +a.kind = {int(subject.kind or 0)})"
    )


def _attribute(subject: Subject, comparison: Comparison, bound: _Bound) -> str:
    """Whether a run has an attribute with which the comparison holds."""
    operator = comparison.operator
    if operator is Operator.NOT_EQUAL:
        has = Comparison(comparison.field, Operator.IS_NOT_NULL)
        is_so = Comparison(comparison.field, Operator.EQUAL, comparison.values)
        return (
            f"({_attribute(subject, has, bound)}"
            f" and not {_attribute(subject, is_so, bound)})"
        )
    if operator is Operator.IS_NULL:
        has = Comparison(comparison.field, Operator.IS_NOT_NULL)
        return f"not {_attribute(subject, has, bound)}"
    if subject.kind is AttributeKind.TEXT and comparison.values:
        return _text(subject, comparison, bound)
    return _exists(_attribute_test(subject, comparison, bound, "+a"))


def _attribute_test(
    subject: Subject, comparison: Comparison, bound: _Bound, a: str = "a"
) -> str:
    kind = searching.kind_of(subject, comparison)
    values = searching.values_of(subject, comparison)
    test = _test(f"{a}.value", comparison.operator, values, bound)
    return _named(subject.name, kind, bound, a) + f" and {test}"


def _text(subject: Subject, comparison: Comparison, bound: _Bound) -> str:
    """A text matches a value if it has every word of it."""
    values = searching.values_of(subject, comparison)
    named = _named(subject.name, AttributeKind.TEXT, bound, "+a")
    starts = comparison.operator is Operator.STARTS_WITH
    alternatives = []
    for value in values:
        tests = [
            _test(
                "+a.value",
                comparison.operator if starts else Operator.EQUAL,
                [w],
                bound,
            )
            for w in searching.words(str(value))
        ]
        each = [_exists(f"{named} and {test}") for test in tests]
        alternatives.append(_joined(each, " and ") if each else "0")
    return _joined(alternatives, " or ")


def _named(name: str, kind: AttributeKind | None, bound: _Bound, a: str = "a") -> str:
    """Of one run the primary key finds an attribute: a sign keeps the index out."""
    found = f"a.name = {bound(name)}"
    return found if kind is None else f"{found} and {a}.kind = {int(kind)}"


def _exists(test: str) -> str:
    return (
        f"exists (select 1 from attributes as a where a.run_key = runs.key and {test})"
    )


def _test(value: str, operator: Operator, wanted: list[Scalar], bound: _Bound) -> str:
    if operator is Operator.IS_NULL:
        return f"{value} is null"
    if operator is Operator.IS_NOT_NULL:
        return f"{value} is not null"
    if operator is Operator.IN:
        return f"{value} in ({', '.join(map(bound, wanted))})"
    if operator is Operator.BETWEEN:
        return f"{value} between {bound(wanted[0])} and {bound(wanted[1])}"
    if operator is Operator.NOT_EQUAL:
        return f"{value} <> {bound(wanted[0])}"
    if operator is Operator.STARTS_WITH:
        first = str(wanted[0])
        return f"({value} >= {bound(first)} and {value} < {bound(first + _BEYOND)})"
    return f"{value} {_SIGNS[operator]} {bound(wanted[0])}"


def _joined(parts: Iterable[str], word: str) -> str:
    return f"({word.join(parts)})"
