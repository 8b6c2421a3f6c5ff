"""A task's own services: ``python -m pytest_a2perf.domains.posttrain.service TASK [OPTIONS]``.

It reads ``{"service": ..., "request": {...}, "left": ...}``, a line of JSON for each call, and
writes the answer as another: an object, which says by ``"calls"`` for how many calls it stands, or
``{"error": "...", "calls": 0}`` for a request that cannot be answered. The options are those of the
scenario, as JSON. Whatever else is printed meanwhile goes to stderr.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
from collections.abc import Callable, Mapping
from typing import IO, Any, Protocol, runtime_checkable

from pytest_a2perf.domains.posttrain.tasks.registry import get_task
from pytest_a2perf.errors import A2PerfError

__all__ = ["Answer", "Serves", "main", "serve"]

Answer = Callable[[Mapping[str, Any], int | None], dict[str, Any]]
"""Answers a request, given how many calls are left (None: any number).

It raises ValueError if the request cannot be answered; the message is for the agent.
"""


@runtime_checkable
class Serves(Protocol):
    """A task with services.

    Attributes:
        services: their names.
    """

    services: tuple[str, ...]

    def service(self, name: str, seed: int) -> Answer:
        """Return what answers the requests of a service; called once, before the first of them.

        Args:
            name: one of `services`.
            seed: of everything random; nobody but this process knows it.
        """


def serve(task: Serves, requests: IO[str], answers: IO[str], seed: int) -> None:
    """Answer requests until there are no more.

    Args:
        task: whose services are asked for.
        requests: a line of JSON each.
        answers: likewise.
        seed: of everything random.
    """
    ready: dict[str, Answer] = {}
    for line in requests:
        asked = json.loads(line)
        name = asked["service"]
        if name in task.services and name not in ready:
            ready[name] = task.service(name, seed)
        try:
            answer = ready.get(name, _unknown)(asked["request"], asked["left"])
        except ValueError as error:
            answer = {"error": str(error), "calls": 0}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _unknown(request: Mapping[str, Any], left: int | None) -> dict[str, Any]:
    del request, left
    raise ValueError("the task has no such service")


def main(name: str, options: str = "{}") -> int:
    """Answer the requests on stdin.

    Raises:
        A2PerfError: there is no such task, or it has no services.
    """
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    task = get_task(name, json.loads(options))
    if not isinstance(task, Serves):
        raise A2PerfError(f"{name}: has no services")
    with out:
        serve(task, sys.stdin, out, secrets.randbits(63))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
