"""Files of data sets, as they are published: read row by row, with errors that name the line."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from pytest_a2perf.errors import ScenarioError

__all__ = ["SUFFIXES", "Row", "read_rows", "write_rows"]

SUFFIXES = (".jsonl", ".jsonl.gz", ".json", ".csv", ".parquet")
_SHOWN = 5  # errors of a file


class Row(BaseModel):
    """Base of rows: fields that a task does not need are kept."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)


_Row = TypeVar("_Row", bound=Row)


def read_rows(path: Path, kind: type[_Row]) -> list[_Row]:
    """Read all rows of a file.

    Args:
        path: of a file with one of `SUFFIXES`.
        kind: of the rows.

    Raises:
        ScenarioError: it cannot be read, has no rows, or some are not as they must be; the message
            names file and line.
    """
    rows: list[_Row] = []
    errors: list[str] = []
    try:
        for place, data in _raw(path):
            try:
                rows.append(kind.model_validate(data))
            except ValidationError as error:
                first = error.errors()[0]
                where = ".".join(map(str, first["loc"]))
                errors.append(f"{place}: {where}: {first['msg']}".replace(": : ", ": "))
            if len(errors) == _SHOWN:
                break
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ScenarioError(f"{path}: cannot be read: {error}") from error
    if errors:
        raise ScenarioError("\n".join(errors))
    if not rows:
        raise ScenarioError(f"{path}: has no rows")
    return rows


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    """Write a JSON object a line."""
    text = "".join(json.dumps(row.model_dump(mode="json")) + "\n" for row in rows)
    path.write_text(text, encoding="utf-8")


def _raw(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield where each row stands, and what it is."""
    name = path.name.lower()
    if name.endswith((".jsonl", ".jsonl.gz")):
        yield from _lines(path)
    elif name.endswith(".json"):
        yield from _array(path)
    elif name.endswith(".csv"):
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            for row in reader:
                yield f"{path}:{reader.line_num}", row
    elif name.endswith(".parquet"):
        yield from _table(path)
    else:
        raise ScenarioError(f"{path}: expected one of {', '.join(SUFFIXES)}")


def _lines(path: Path) -> Iterator[tuple[str, Any]]:
    opened = gzip.open if path.name.endswith(".gz") else open
    with opened(path, "rt", encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                try:
                    yield f"{path}:{number}", json.loads(line)
                except (ValueError, RecursionError) as error:
                    raise ScenarioError(f"{path}:{number}: is no JSON: {error}") from None


def _array(path: Path) -> Iterator[tuple[str, Any]]:
    text = path.read_text(encoding="utf-8")
    try:
        rows = json.loads(text)
    except json.JSONDecodeError as error:
        raise ScenarioError(f"{path}:{error.lineno}: is no JSON: {error.msg}") from None
    if not isinstance(rows, list):
        raise ScenarioError(f"{path}:1: expected an array of rows")
    for number, row in enumerate(rows):
        yield f"{path}: row {number}", row


def _table(path: Path) -> Iterator[tuple[str, Any]]:
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import read_table
    except ImportError:
        raise ScenarioError(
            f"{path}: needs pyarrow: pip install 'pytest-a2perf[parquet]'"
        ) from None
    try:
        rows = read_table(path).to_pylist()
    except ArrowException as error:
        raise ScenarioError(f"{path}: is no Parquet file: {error}") from None
    for number, row in enumerate(rows):
        yield f"{path}: row {number}", row
