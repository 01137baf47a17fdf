"""What runs are searched by: the fields that a filter may name, and their types.

Whatever a filter says is checked here, field by field and value by value, before an
adapter makes a query of it: an adapter sees only subjects of this table and values of
the right type. Every refusal is an `InvalidFilter` that points into the filter's text.

Most subjects are columns of a run's row. What only few runs have is kept as attributes
of the run; those of our own have a name that begins with ``#``, which no user's has.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, TypeAlias

from everact.runtime.core.records import Attribute, AttributeKind
from everact.runtime.core.statuses import RunStatus
from everact.runtime.errors import InvalidFilter
from everact.runtime.filters.operators import Operator, Scalar, moment
from everact.runtime.filters.tree import Both, Comparison, Field, Literal

Declared: TypeAlias = Mapping[str, AttributeKind]
"""The search attributes of a workspace, by name."""

WORDS = 50
"""Words that one comparison searches texts for."""

OWN = "#"
METADATA = f"{OWN}metadata."
SCHEDULE_ID, NOMINAL_TIME = f"{OWN}schedule_id", f"{OWN}nominal_time"
BUILD_IDS, EXECUTION_TIME = f"{OWN}build_ids", f"{OWN}execution_time"


class Subject(NamedTuple):
    """What a field means: a column, or else an attribute of that name.

    The kind of an attribute is None if each run may have it of another kind; then the
    value that it is compared with tells.
    """

    name: str
    kind: AttributeKind | None
    column: bool = True


_TEXT, _MOMENT = AttributeKind.KEYWORD, AttributeKind.DATETIME

_FIELDS = {
    ("WorkflowId", "workflow_id"): Subject("workflow_id", _TEXT),
    ("RunId", "run_id"): Subject("run_id", _TEXT),
    ("WorkflowType", "workflow"): Subject("name", _TEXT),
    ("ExecutionStatus", "Status", "status"): Subject("status", AttributeKind.INT),
    ("Kind", "kind"): Subject("kind", _TEXT),
    ("TaskQueue", "queue"): Subject("queue", _TEXT),
    ("StartTime", "start_time"): Subject("started_at", _MOMENT),
    ("ExecutionTime", "execution_time"): Subject("execution_time", _MOMENT),
    ("CloseTime", "close_time"): Subject("closed_at", _MOMENT),
    ("HistoryLength", "history_length"): Subject("history_length", AttributeKind.INT),
    ("ParentWorkflowId", "parent_workflow_id"): Subject("parent_workflow_id", _TEXT),
    ("ParentRunId", "parent_run_id"): Subject("parent_run_id", _TEXT),
    ("RootRunId", "root_run_id"): Subject("root_run_id", _TEXT),
    ("RunName", "run_name"): Subject("run_name", _TEXT),
    ("PutAside", "put_aside"): Subject("aside", _TEXT),
    ("ScheduleId", "schedule_id"): Subject(SCHEDULE_ID, _TEXT, False),
    ("NominalTime", "nominal_time"): Subject(NOMINAL_TIME, _MOMENT, False),
    ("BuildIds", "build_ids"): Subject(BUILD_IDS, AttributeKind.KEYWORD_LIST, False),
}
BUILT_IN = {name: subject for names, subject in _FIELDS.items() for name in names}
"""The fields that every workspace has, by either of their names."""

_METADATA_NAMES = ("Metadata", "metadata")
RESERVED = frozenset(BUILT_IN) | frozenset(_METADATA_NAMES)

_RANGES = frozenset(
    {
        Operator.LESS,
        Operator.AT_MOST,
        Operator.GREATER,
        Operator.AT_LEAST,
        Operator.BETWEEN,
    }
)
_NUMBERS = (AttributeKind.INT, AttributeKind.FLOAT)
_WORDS = (AttributeKind.TEXT, AttributeKind.KEYWORD, AttributeKind.KEYWORD_LIST)
_GROUPED = (AttributeKind.KEYWORD, AttributeKind.INT, AttributeKind.BOOL)
_WORD = re.compile(r"\w+")
_STATUSES = {status.name.replace("_", "").lower(): status for status in RunStatus}
_STATUSES["canceled"] = RunStatus.CANCELLED


def attributes_found(rows: Iterable[Any]) -> dict[int, dict[str, Attribute]]:
    """Rows of attributes (run, name, kind, value, whole), in order, by run."""
    found: dict[int, dict[str, Attribute]] = {}
    for run_key, name, number, value, whole in rows:
        kind = AttributeKind(number)
        of_run = found.setdefault(run_key, {})
        if kind is AttributeKind.KEYWORD_LIST:
            before: Any = of_run[name].value if name in of_run else ()
            value = (*before, value)
        elif kind is AttributeKind.TEXT:
            if whole is None:
                continue
            value = whole
        elif kind is AttributeKind.BOOL:
            value = bool(value)
        of_run[name] = Attribute(kind, value)
    return found


def words(text: str) -> list[str]:
    """What a text is found by: its words, each once, whatever their case."""
    return list(dict.fromkeys(_WORD.findall(text.casefold())))


def subject_of(field: Field, declared: Declared) -> Subject:
    """What `field` means; InvalidFilter if there is no such field."""
    name = field.name
    if name in declared:  # before a version that has a field of that name built in
        return Subject(name, declared[name], False)
    found = BUILT_IN.get(name)
    if found is not None:
        return found
    if field.path[0] in _METADATA_NAMES and len(field.path) > 1:
        return Subject(METADATA + ".".join(field.path[1:]), None, False)
    raise InvalidFilter(
        f"there is no field {name!r}: it is neither built in nor a declared search "
        "attribute",
        field.at,
    )


def kind_of(subject: Subject, comparison: Comparison) -> AttributeKind | None:
    """The kind that a comparison is about; None where any will do."""
    if subject.kind is not None or not comparison.values:
        return subject.kind
    return kind_of_value(comparison.values[0].value)


def kind_of_value(value: Scalar) -> AttributeKind:
    """The kind that a value alone tells; any number is a float."""
    if isinstance(value, bool):
        return AttributeKind.BOOL
    return AttributeKind.KEYWORD if isinstance(value, str) else AttributeKind.FLOAT


def values_of(subject: Subject, comparison: Comparison) -> list[Scalar]:
    """The values of a comparison as they are stored; InvalidFilter for wrong types."""
    kind, operator = kind_of(subject, comparison), comparison.operator
    at, name = comparison.field.at, comparison.field.name
    unordered = (
        subject.name == "status"
        or kind in (AttributeKind.TEXT, AttributeKind.BOOL)
        or kind is AttributeKind.KEYWORD_LIST
    )
    if unordered and operator in _RANGES:
        raise InvalidFilter(f"{name!r} has no order: {operator} does not apply", at)
    if operator is Operator.STARTS_WITH and (
        kind not in _WORDS or subject.name == "status"
    ):
        raise InvalidFilter(f"{name!r} is no text: STARTS_WITH does not apply", at)
    found = [_value(subject, kind, literal, name) for literal in comparison.values]
    asked = sum(len(words(str(value))) for value in found)
    if kind is AttributeKind.TEXT and asked > WORDS:
        raise InvalidFilter(f"at most {WORDS} words at a time", at)
    return found


def _value(
    subject: Subject, kind: AttributeKind | None, literal: Literal, name: str
) -> Scalar:
    value = literal.value
    if subject.name == "status" and subject.column:
        return _status(literal)
    if kind is AttributeKind.DATETIME and isinstance(value, str):
        try:
            return moment(value).timestamp()
        except (ValueError, OverflowError):
            raise InvalidFilter(
                f"{value!r} is no moment; one is written '2026-01-31T12:00:00Z'",
                literal.at,
            ) from None
    found = kind_of_value(value)
    right = found is kind
    right = right or (kind in _NUMBERS and found is AttributeKind.FLOAT)
    right = right or (kind in _WORDS and found is AttributeKind.KEYWORD)
    if not right or kind is None:
        expected = _SPOKEN[kind] if kind is not None else "a value"
        raise InvalidFilter(f"{name!r} is compared with {expected}", literal.at)
    return value


_SPOKEN = {
    AttributeKind.TEXT: "a text in quotes",
    AttributeKind.KEYWORD: "a text in quotes",
    AttributeKind.INT: "a number",
    AttributeKind.FLOAT: "a number",
    AttributeKind.BOOL: "true or false",
    AttributeKind.DATETIME: "a moment in quotes, such as '2026-01-31T12:00:00Z'",
    AttributeKind.KEYWORD_LIST: "a text in quotes",
}


def _status(literal: Literal) -> int:
    text = literal.value
    plain = re.sub(r"[\s_]", "", text).lower() if isinstance(text, str) else ""
    if plain not in _STATUSES:
        known = ", ".join(repr(str(status)) for status in RunStatus)
        raise InvalidFilter(f"there is no such status; there are {known}", literal.at)
    return int(_STATUSES[plain])


def ordered(field: Field, declared: Declared) -> Subject:
    """What an order is by; InvalidFilter if there is no order of it."""
    subject = subject_of(field, declared)
    if subject.kind in (None, AttributeKind.TEXT, AttributeKind.KEYWORD_LIST):
        raise InvalidFilter(f"there is no order by {field.name!r}", field.at)
    return subject


def grouped(field: Field, declared: Declared) -> Subject:
    """What is grouped by; InvalidFilter if its values make no groups."""
    subject = subject_of(field, declared)
    if subject.kind not in _GROUPED:
        raise InvalidFilter(f"there are no groups by {field.name!r}", field.at)
    return subject


def possible_statuses(condition: Any, declared: Declared) -> frozenset[RunStatus]:
    """The statuses that a run may have that fulfils a condition: never too few."""
    every = frozenset(RunStatus)
    if condition is None:
        return every
    if not isinstance(condition, Comparison):
        parts = [possible_statuses(part, declared) for part in condition.parts]
        found = parts[0]
        for part in parts[1:]:
            both = isinstance(condition, Both)
            found = found & part if both else found | part
        return found
    subject = subject_of(condition.field, declared)
    if subject.name != "status" or not subject.column:
        return every
    given = frozenset(RunStatus(int(v)) for v in values_of(subject, condition))
    if condition.operator in (Operator.EQUAL, Operator.IN):
        return given
    return every - given if condition.operator is Operator.NOT_EQUAL else every
