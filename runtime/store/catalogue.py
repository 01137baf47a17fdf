"""SQL lives in .sql files: named queries and numbered migrations of one dialect."""

import re
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import NamedTuple

_NAME = re.compile(r"^-- name: (\w+)\s*$", re.MULTILINE)


class Migration(NamedTuple):
    """One step of the schema, run once, in a transaction."""

    number: int
    name: str
    script: str


def queries(dialect: str) -> dict[str, str]:
    """The dialect's statements by name."""
    text = (_folder(dialect) / "queries.sql").read_text(encoding="utf-8")
    parts = _NAME.split(text)
    return {
        name: sql.strip() for name, sql in zip(parts[1::2], parts[2::2], strict=True)
    }


def migrations(dialect: str) -> list[Migration]:
    """The dialect's migrations in order; they are numbered without gaps from 1."""
    found = sorted(
        Migration(int(f.name[:4]), f.name, f.read_text(encoding="utf-8"))
        for f in _folder(dialect).iterdir()
        if re.fullmatch(r"\d{4}_\w+\.sql", f.name)
    )
    assert [m.number for m in found] == list(range(1, len(found) + 1)), found
    return found


_ROW = re.compile(r"\(\?(?:, \?)*\)")


def widened(sql: str, rows: int) -> str:
    """A statement that takes one row of parameters, made to take several at once."""
    return _ROW.sub(lambda row: ", ".join([row[0]] * rows), sql)


def _folder(dialect: str) -> Traversable:
    return files("everact.runtime.store") / "sql" / dialect
