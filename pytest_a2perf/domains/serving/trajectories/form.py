"""What a format of recorded sessions is, and how readers get at JSON whose shape is not certain.

A reader goes over `records_of` a file and asks each `Record` for what it needs; whatever is not as
it should be becomes an error that says where it stands.
"""

from __future__ import annotations

import gzip
import json
import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, cast

from pytest_a2perf.domains.serving.errors import TrajectoryError
from pytest_a2perf.domains.serving.trajectories.build import clean
from pytest_a2perf.domains.serving.trajectories.models import Session

__all__ = [
    "Form",
    "Record",
    "beginning_of",
    "document_of",
    "first_object",
    "head_of",
    "open_bytes",
    "parse",
    "records_of",
]

_HEAD = 65536
_MOST = 2**63 - 1
_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*(?P<ended>"?)|[][{},]', re.DOTALL)
_CLOSING = {"{": "}", "[": "]"}


@dataclass(frozen=True, slots=True)
class Form:
    """A format of recorded sessions.

    Attributes:
        name: of the format; sessions carry it as their source.
        detect: whether a path is of this format, from the path and the beginning of its content
            (decompressed, about 64 kB); the content of a folder is empty. A form that claims a
            folder reads it as a whole.
        read: its sessions, in order.
    """

    name: str
    detect: Callable[[Path, bytes], bool]
    read: Callable[[Path], Iterator[Session]]


@dataclass(frozen=True, slots=True)
class Record:
    """A JSON object with typed access to its members; null counts as missing.

    Attributes:
        data: the object.
        where: file, line and what else helps to find it, for errors.
    """

    data: dict[str, Any]
    where: str

    def error(self, message: str) -> TrajectoryError:
        """Return an error that says where this object stands."""
        return TrajectoryError(f"{self.where}: {message}")

    @contextmanager
    def here(self) -> Iterator[None]:
        """Say where this object stands in errors of what happens inside."""
        try:
            yield
        except TrajectoryError as error:
            raise self.error(str(error)) from None

    def text(self, key: str, default: str | None = None) -> str:
        """Return a text; a number counts as one, so that ids may be either.

        Raises:
            TrajectoryError: it is of another type, or missing without a default.
        """
        value = self._given(key, default)
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        if not isinstance(value, str):
            raise self._wrong(key, "a text")
        text: str = clean(value)
        return text

    def items(self, key: str) -> list[Any]:
        """Return a list, which is empty where it is missing.

        Raises:
            TrajectoryError: it is something else.
        """
        value = self._given(key, [])
        if not isinstance(value, list):
            raise self._wrong(key, "a list")
        return value

    def records(self, key: str) -> list[Record]:
        """Return a list of objects, which is empty where it is missing.

        Raises:
            TrajectoryError: it is no list, or something in it is no object.
        """
        values = enumerate(self.items(key), 1)
        return [_record(value, f"{self.where}, {key} {number}") for number, value in values]

    def record(self, key: str) -> Record:
        """Return an object, which is empty where it is missing.

        Raises:
            TrajectoryError: it is something else.
        """
        value = self._given(key, {})
        if not isinstance(value, dict):
            raise self._wrong(key, "an object")
        return Record(value, f"{self.where}, {key}")

    def tools(self, key: str = "tools") -> list[dict[str, Any]]:
        """Return declarations in OpenAI's form; takes bare functions, and JSON in a text, too.

        Raises:
            TrajectoryError: they are something else.
        """
        given = self._given(key, [])
        if isinstance(given, str):
            given = parse(given, f"{self.where}, {key}") if given.strip() else []
        tools = []
        for tool in Record({key: given}, self.where).records(key):
            with tool.here():
                declared: dict[str, Any] = clean(tool.data)
            bare = "function" not in declared
            tools.append({"type": "function", "function": declared} if bare else declared)
        return tools

    def count(self, key: str) -> int | None:
        """Return a whole number of at least 0, or None where it is missing.

        Raises:
            TrajectoryError: it is something else.
        """
        value = self.number(key)
        if value is None:
            return None
        if value < 0 or value != int(value):
            raise self._wrong(key, "a whole number of at least 0")
        return int(value)

    def seconds(self, key: str, unit: float = 1.0) -> float | None:
        """Return a time of at least 0 in seconds, or None where it is missing.

        Args:
            key: name of the member.
            unit: seconds that one of its units has: 0.001 for milliseconds.

        Raises:
            TrajectoryError: it is something else.
        """
        value = self.number(key)
        if value is not None and value < 0:
            raise self._wrong(key, "a time of at least 0")
        return None if value is None else value * unit

    def number(self, key: str) -> int | float | None:
        """Return a finite number of reasonable size, or None where it is missing.

        Raises:
            TrajectoryError: it is something else.
        """
        value = self.data.get(key)
        if value is None:
            return None
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise self._wrong(key, "a number")
        if not math.isfinite(value) or abs(value) > _MOST:
            raise self._wrong(key, "a number of reasonable size")
        return value

    def moment(self, key: str) -> float | None:
        """Return a time of day as seconds since 1970, or None where it is missing.

        Takes ISO 8601 (without a zone it is taken as UTC), and numbers: seconds, or milliseconds,
        microseconds or nanoseconds where they would be in a far future otherwise.

        Raises:
            TrajectoryError: it is something else.
        """
        value = self.data.get(key)
        if isinstance(value, str):
            try:
                if value.isdecimal():
                    return Record({key: int(value)}, self.where).moment(key)
                found = datetime.fromisoformat(value)
                return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
            except (ValueError, OverflowError):
                raise self._wrong(key, "a time of day") from None
        number = self.number(key)
        while number is not None and abs(number) > 1e11:
            number /= 1000
        return number

    def _given(self, key: str, default: Any) -> Any:
        value = self.data.get(key)
        return default if value is None else value

    def _wrong(self, key: str, wanted: str) -> TrajectoryError:
        if self.data.get(key) is None:
            return self.error(f"{key!r} is missing: expected {wanted}")
        return self.error(f"{key!r} is {_short(self.data[key])}: expected {wanted}")


def open_bytes(path: Path) -> IO[bytes]:
    """Open a file, decompressed if it is of gzip."""
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    return cast("IO[bytes]", gzip.open(path)) if packed else path.open("rb")


def head_of(path: Path) -> bytes:
    """Return the beginning of a file for `Form.detect`."""
    with open_bytes(path) as file:
        return file.read(_HEAD)


def parse(text: str | bytes, where: str) -> Any:
    """Return a JSON document.

    Raises:
        TrajectoryError: it is none; begins with ``where``.
    """
    try:
        return json.loads(text.decode("utf-8-sig") if isinstance(text, bytes) else text)
    except UnicodeDecodeError:
        raise TrajectoryError(f"{where}: not UTF-8") from None
    except json.JSONDecodeError as error:
        line = f"line {error.lineno}, " if error.lineno > 1 else ""
        raise TrajectoryError(
            f"{where}: not JSON: {error.msg} ({line}column {error.colno})"
        ) from None
    except RecursionError:
        raise TrajectoryError(f"{where}: nested too deeply") from None
    except ValueError as error:  # a whole number of thousands of digits
        raise TrajectoryError(f"{where}: not usable JSON: {error}") from None


def document_of(path: Path) -> Any:
    """Return the JSON document that a file is.

    Raises:
        TrajectoryError: it is none.
    """
    with open_bytes(path) as file:
        return parse(file.read(), str(path))


def records_of(path: Path) -> Iterator[Record]:
    """Return the objects of a file: one a line, or a list of them, or a single one.

    Raises:
        TrajectoryError: something is no JSON, or no object.
    """
    with open_bytes(path) as file:
        lines = (
            (number, line)
            for number, line in enumerate(file, 1)
            if line.strip(b"\xef\xbb\xbf \t\r\n")
        )
        first = next(lines, None)
        if first is None:
            return
        where = f"{path}:{first[0]}"
        try:
            value = parse(first[1], where)
        except TrajectoryError:  # a document of several lines, or a broken first line
            value = parse(first[1] + file.read(), where)
        if isinstance(value, list) and next(lines, None) is None:
            yield from Record({"item": value}, str(path)).records("item")
            return
        yield _record(value, where)
        for number, line in lines:
            where = f"{path}:{number}"
            yield _record(parse(line, where), where)


def first_object(head: bytes) -> dict[str, Any]:
    """Return the first object of a file's beginning, or of the list that it is; {} if none."""
    first = beginning_of(head)
    if isinstance(first, list):
        first = first[0] if first else None
    return first if isinstance(first, dict) else {}


@lru_cache(maxsize=4)  # one form after the other asks
def beginning_of(head: bytes) -> Any:
    """Return the first JSON value of a file's beginning, as far as it stands there.

    A value that the head cuts off keeps the members before the cut, so that a form can be told by
    its first line however long that is. None where there is nothing to be read.
    """
    text = head.decode("utf-8-sig", errors="replace").lstrip()
    try:
        return json.JSONDecoder().raw_decode(text)[0]
    except (ValueError, RecursionError):
        pass
    end, closing = 0, ""  # the last place where what is open could be closed, and how
    stack: list[str] = []
    for token in _TOKEN.finditer(text):
        mark = token[0]
        if token["ended"] == "":
            break
        if mark in _CLOSING:
            stack.append(_CLOSING[mark])
            end, closing = token.end(), "".join(reversed(stack))
        elif mark == "," and stack:
            end, closing = token.start(), "".join(reversed(stack))
        elif stack and mark == stack[-1]:
            stack.pop()
    try:
        return json.loads(text[:end] + closing)
    except (ValueError, RecursionError):
        return None


def _record(value: Any, where: str) -> Record:
    if not isinstance(value, dict):
        raise TrajectoryError(f"{where}: expected an object, not {_short(value)}")
    return Record(value, where)


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
