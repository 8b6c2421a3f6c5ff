"""The evaluator: ``python -m pytest_a2perf.domains.posttrain.evaluate``, in a sandbox of its own.

It reads one JSON object from stdin, ``{"task", "options", "artefact", "hidden", "split", "seed"}``
and perhaps ``nonce``, and writes one line of JSON to stdout: ``{"items": [0 to 1, ...], "extra":
{...}}``, or ``{"error": "..."}`` if the artefact is no model that can be evaluated; with the nonce
if there was one. Whatever else is printed meanwhile goes to stderr.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from pytest_a2perf.domains.posttrain.tasks.base import Split
from pytest_a2perf.domains.posttrain.tasks.registry import get_task
from pytest_a2perf.errors import A2PerfError

__all__ = ["Scores", "evaluate", "main"]


@runtime_checkable
class Scores(Protocol):
    """A task that is evaluated here."""

    def score(
        self, artefact: Path, hidden: Path, split: Split, seed: int
    ) -> tuple[list[float], dict[str, Any]]:
        """Return the score of each item, 0 to 1, and further figures.

        Args:
            artefact: folder of the submission.
            hidden: folder with the entry of the split.
            split: see `Split`.
            seed: of everything random.

        Raises:
            ValueError: the submission is no model that can be evaluated; the message is for the
                agent, so nothing of the hidden data may be in it.
        """


def evaluate(request: dict[str, Any]) -> dict[str, Any]:
    """Evaluate as a request says, and return the answer.

    Raises:
        A2PerfError: there is no such task, or it has an evaluator of its own.
        KeyError: the request lacks something.
    """
    import torch

    from pytest_a2perf.domains.posttrain.nano.model import ModelError

    torch.set_num_threads(1)
    task = get_task(request["task"], request.get("options"))
    if not isinstance(task, Scores):
        raise A2PerfError(f"{request['task']}: has an evaluator of its own")
    artefact, hidden = Path(request["artefact"]), Path(request["hidden"])
    try:
        items, extra = task.score(artefact, hidden, request["split"], request["seed"])
    except ModelError as error:
        return {"error": str(error).replace(f"{artefact}/", "")}
    return {"items": items, "extra": extra}


def main() -> int:
    """Answer the request on stdin."""
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    request = json.loads(sys.stdin.readline())
    answer = evaluate(request)
    if "nonce" in request:
        answer["nonce"] = request["nonce"]
    with out:
        out.write(json.dumps(answer) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
