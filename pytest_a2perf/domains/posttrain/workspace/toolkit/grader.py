# ruff: noqa: INP001, T201
"""Talk to the grading service, with nothing but the standard library.

In Python: ``import grader; print(grader.submit("output/v1"))``. In a shell: ``python -m grader
submit output/v1``, and likewise ``time``, ``health``, ``history``, ``best``.
"""

from __future__ import annotations

import http.client
import json
import os
import sys
import time as clock
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

__all__ = ["GraderError", "Run", "ask", "best", "health", "history", "submit", "time"]

PATIENCE = 7200.0
"""Seconds that an answer may take: an evaluation, and those in the queue before it."""

RETRIES = 5
"""The service is started again when it is killed: so often a connection is tried."""


class GraderError(Exception):
    """The service refused a request; the message says why.

    Attributes:
        status: of HTTP; 0 if nobody answered.
        answer: what the service said.
    """

    def __init__(self, message: str, status: int, answer: dict[str, Any]) -> None:
        super().__init__(message)
        self.status = status
        self.answer = answer


def ask(path: str, body: dict[str, Any] | None = None, *, seconds: float = PATIENCE) -> Any:
    """Return the JSON that the service answers: to a GET, or a POST if there is a body.

    Args:
        path: e.g. ``/time``.
        body: of a POST.
        seconds: that the answer may take.

    Raises:
        GraderError: the service refuses, or nobody answers.
    """
    url = os.environ["GRADING_SERVER_URL"].rstrip("/") + path
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})  # noqa: S310
    for attempt in range(RETRIES):
        try:
            with urllib.request.urlopen(request, timeout=seconds) as response:  # noqa: S310
                return json.loads(response.read())
        except urllib.error.HTTPError as error:
            answer = _json(error.read())
            message = str(answer.get("error") or error.reason)
            raise GraderError(message, error.code, answer) from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            if attempt == RETRIES - 1 or isinstance(error, TimeoutError):
                raise GraderError(f"no answer from {url}: {error}", 0, {}) from error
            clock.sleep(0.1 * 2**attempt)
    raise AssertionError


def submit(model_path: str | os.PathLike[str], **fields: Any) -> dict[str, Any]:
    """Hand in a model, and wait for its score.

    Args:
        model_path: its folder, e.g. ``output/v1``.
        fields: further ones of the request.

    Raises:
        GraderError: it was not accepted.
    """
    answer: dict[str, Any] = ask("/submit", {"model_path": os.fspath(model_path), **fields})
    return answer


def time() -> dict[str, Any]:
    """Return what is left of the budget."""
    answer: dict[str, Any] = ask("/time", seconds=60)
    return answer


def health() -> dict[str, Any]:
    """Return whether the service is up."""
    answer: dict[str, Any] = ask("/health", seconds=60)
    return answer


def history() -> Any:
    """Return all submissions so far."""
    return ask("/history", seconds=60)


def best() -> Any:
    """Return the best submission so far."""
    return ask("/best", seconds=60)


class Run:
    """What an agent that is a Python function is called with.

    Attributes:
        workspace: the folder to work in.
        env: the environment: ``TASK``, ``MODEL_PATH``, ``DATA_PATH``, ``OUTPUT_DIR``, ``SEED`` ...
    """

    def __init__(self) -> None:
        self.workspace = Path(os.environ["WORKSPACE"])
        self.env = dict(os.environ)

    def submit(self, path: str | os.PathLike[str]) -> dict[str, Any]:
        """Hand in a model; see `submit`."""
        return submit(path)

    def time(self) -> dict[str, Any]:
        """Return what is left of the budget."""
        return time()


def remaining() -> str:
    """Return what is left of the time, in words."""
    told = time()
    left, cpu = told.get("remaining"), told.get("cpu_remaining")
    if 0 in (left, cpu):
        return "Timer expired!"
    words = "no limit"
    if left is not None:
        words = f"{int(left) // 3600}:{int(left) % 3600 // 60:02d} ({left:.0f} s)"
    return f"Remaining: {words}" + ("" if cpu is None else f", {cpu:.0f} CPU seconds")


def _json(data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _main(words: list[str]) -> int:
    simple = {"time": time, "health": health, "history": history, "best": best}
    try:
        match words:
            case ["submit", path]:
                print(json.dumps(submit(path)))
            case ["remaining"]:
                print(remaining())
            case [name] if name in simple:
                print(json.dumps(simple[name]()))
            case _:
                print("usage: python -m grader submit PATH | time | health | history | best")
                return 2
    except GraderError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
