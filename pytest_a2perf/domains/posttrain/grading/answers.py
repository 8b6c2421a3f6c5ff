"""What agents are told, in upstream's form: public scores only."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from time import time
from typing import Any

from pytest_a2perf.domains.posttrain.grading.book import Book
from pytest_a2perf.domains.posttrain.grading.clock import Clock
from pytest_a2perf.domains.posttrain.grading.config import Config
from pytest_a2perf.domains.posttrain.grading.refusal import Refused
from pytest_a2perf.domains.posttrain.grading.submission import Submission

__all__ = ["Answers"]


class Answers:
    """Makes answers. The caller holds one lock around every call.

    Args:
        config: see `Config`.
        book: see `Book`.
        clock: see `Clock`.

    Attributes:
        roots: the workspace, as agents call it.
        codes: statuses of HTTP of rejected submissions, by number; 400 where an earlier process
            rejected them.
    """

    def __init__(self, config: Config, book: Book, clock: Clock) -> None:
        self._config = config
        self._book = book
        self._clock = clock
        self.codes: dict[int, int] = {}
        self.roots = (config.inside, str(config.root / "workspace"))

    def gpu(self, value: object) -> str:
        """Return the GPUs that a request names, as ``CUDA_VISIBLE_DEVICES`` has them.

        Raises:
            Refused: they are not the agent's.
        """
        if value is None or value == "":
            return ""
        named = str(value).split(",") if isinstance(value, str | int) else []
        if not named or not set(named) <= set(self._config.gpus):
            raise Refused(f"gpu must name some of {', '.join(self._config.gpus) or 'none'}")
        return ",".join(named)

    def queued(self, number: int) -> dict[str, Any]:
        """Return where a submission stands in the queue, 0 being evaluated."""
        place = sorted(self._book.taken).index(number) if number in self._book.taken else 0
        return {
            "submission_id": number,
            "status": "queued" if place else "running",
            "queue_position": place,
            "remaining_submissions": self._remaining(),
        }

    def finished(self, submission: Submission) -> tuple[int, dict[str, Any]]:
        """Return status of HTTP and what became of a submission."""
        rejected = submission.status == "rejected"
        return self.codes.get(submission.number, 400) if rejected else 200, {
            **self._entry(submission),
            "queue_position": 0,
            **self.best(),
            "total_submissions": len(self._book.submissions),
            "remaining_submissions": self._remaining(),
        }

    def history(self) -> dict[str, Any]:
        """Return all submissions."""
        return {"submissions": self._entries(), **self.best()}

    def best(self) -> dict[str, Any]:
        """Return the best submission so far."""
        best = self._book.best()
        return {"best": None if best is None else self._entry(best)}

    def scores(self) -> str:
        """Return the text of ``scores.json``: upstream's list, as a copy for information."""
        return json.dumps(self._entries(), indent=1) + "\n"

    def health(self, calls: int | None) -> dict[str, Any]:
        """Return that the service works, and what is left."""
        return {
            "status": "ok",
            "task": self._config.task,
            "workspace": self._config.inside,
            "available_gpus": list(self._config.gpus),
            "baseline_score": self._config.baseline,
            "queue": len(self._book.taken),
            "remaining_submissions": self._remaining(),
            "services": list(self._config.services),
            "remaining_calls": calls,
        }

    def time(self, cpu: float) -> dict[str, Any]:
        """Return how much of the budget is left; times of day are Unix seconds."""
        config, at = self._config, self._clock.at
        last = max((one.clock for one in self._book.submissions.values()), default=None)
        return {
            "start_time": config.started[0],
            "timeout_s": config.timeout,
            "last_submit_time": None if last is None else config.started[0] + last,
            "end_time": None,
            "now": time(),
            "elapsed": at,
            "paused": self._clock.paused,
            "remaining": None if config.timeout is None else max(0.0, config.timeout - at),
            "cpu_limit": config.cpu,
            "cpu_used": cpu,
            "cpu_remaining": None if config.cpu is None else max(0.0, config.cpu - cpu),
        }

    def _remaining(self) -> int | None:
        most = self._config.submissions
        return None if most is None else max(0, most - self._book.used())

    def _entries(self) -> list[dict[str, Any]]:
        return [self._entry(one) for _, one in sorted(self._book.submissions.items())]

    def _entry(self, one: Submission) -> dict[str, Any]:
        """Return a submission as upstream has it; what has no score counts 0 there."""
        score = one.public.value if one.public else 0.0
        base = self._config.baseline
        at = datetime.fromtimestamp(self._config.started[0] + one.clock, UTC)
        entry = {
            "submission_id": one.number,
            "timestamp": at.isoformat(timespec="seconds"),
            "model_path": one.path,
            "score": score,
            "baseline_score": base,
            "improvement": None if base is None or not one.public else score - base,
            "elapsed_seconds": round(one.public.seconds, 3) if one.public else 0.0,
            "status": one.status,
        }
        if one.reason:
            entry["error"] = one.reason
        if one.repeated:
            entry["repeated"] = one.repeated
        return entry
