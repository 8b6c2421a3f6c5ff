"""Evaluation of an artefact in a sandbox of its own."""

from __future__ import annotations

import json
import math
import secrets
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from time import monotonic
from typing import Any

from pytest_a2perf.domains.posttrain.devices import CUDA
from pytest_a2perf.domains.posttrain.errors import SandboxError
from pytest_a2perf.domains.posttrain.grading.channel import Channel, ChannelClosedError
from pytest_a2perf.domains.posttrain.grading.config import EVALUATOR, Plan
from pytest_a2perf.domains.posttrain.grading.submission import Score
from pytest_a2perf.domains.posttrain.sandbox.spec import Mount
from pytest_a2perf.domains.posttrain.tasks.base import Split

__all__ = ["EvaluationError", "Evaluator", "draw_seed", "read_result", "score_of"]

_MOST = 16 << 20  # bytes of what an evaluator says
_WALL = 3600.0  # seconds, where the plan has no limit
_GRACE = 10.0  # seconds beyond the sandbox's own limit
_TOLD = 500  # characters of an evaluator's reason that the agent is told


class EvaluationError(Exception):
    """An evaluation gave no score.

    Args:
        message: for the agent: nothing of the hidden data can be in it.
        detail: for the harness.
        refused: whether the evaluator could not load the artefact, and said so.
    """

    def __init__(self, message: str, detail: str = "", *, refused: bool = False) -> None:
        super().__init__(message)
        self.detail = detail
        self.refused = refused


class Evaluator:
    """Runs the evaluator of a plan.

    The box sees the artefact and one split, both read-only, and has no network. What it prints
    counts if it ends with status 0 and there is exactly one line with the nonce, which it is told
    on its standard input and the artefact cannot know; or, from evaluators that do not repeat the
    nonce, if that line is all they print.

    Args:
        plan: see `Plan`.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._command = plan.command or (sys.executable, *EVALUATOR)
        self._channel: Channel | None = None
        self._cancelled = False

    def cancel(self) -> None:
        """End the evaluation that is under way, from another thread, and begin no other."""
        self._cancelled = True
        channel = self._channel
        if channel is not None:
            channel.stop()

    def evaluate(
        self, artefact: Path, split: Split, seed: int, *, items: int = 0, gpu: str = ""
    ) -> Score:
        """Evaluate an artefact.

        Args:
            artefact: folder.
            split: see `Split`.
            seed: of everything random in it.
            items: that there must be; 0: not known.
            gpu: numbers of the GPUs to use; empty: as the plan's environment says.

        Raises:
            EvaluationError: the evaluator gave no score.
            InfraError: it could not be started.
        """
        if self._cancelled:
            raise EvaluationError("the grader is ending")
        begun = monotonic()
        nonce = secrets.token_hex(16)
        entry = _entry(self._plan.hidden, split)
        mounts = [Mount(artefact, "/artefact"), Mount(entry, f"/hidden/{entry.name}")]
        wall = self._plan.place.limits.wall or _WALL
        env = {CUDA: gpu} if gpu else {}
        with Channel(self._plan.place, self._command, mounts, env) as channel:
            self._channel = channel
            folder, hidden = channel.paths
            request = {
                **self._plan.requests.get(split, {}),
                "artefact": folder,
                "hidden": str(Path(hidden).parent),
                "split": split,
                "seed": seed,
                "nonce": nonce,
            }
            try:
                channel.send(json.dumps(request), last=True)
                output, status = channel.all(wall + _GRACE, _MOST)
            except ChannelClosedError as error:
                raise _failure(str(error), channel) from error
            if channel.limit_hit or status != 0:
                raise _failure(f"exit status {status}", channel)
            try:
                return read_result(output, nonce, items, monotonic() - begun)
            except ValueError as error:
                raise _failure(str(error), channel, output) from error


def draw_seed() -> int:
    """Draw the seed of an evaluation; nobody but the harness ever learns it."""
    return secrets.randbits(31)


def score_of(items: Sequence[float], seconds: float, extra: dict[str, Any]) -> Score:
    """Return the score of items: 100 times their mean, unless ``extra`` has a ``value``."""
    value = extra.get("value", 100 * statistics.fmean(items))
    error = 100 * statistics.stdev(items) / math.sqrt(len(items)) if len(items) > 1 else 0.0
    return Score(float(value), float(extra.get("error", error)), tuple(items), seconds, extra)


def _entry(hidden: Path, split: Split) -> Path:
    """Return the file or folder of a split."""
    found = [path for path in sorted(hidden.iterdir()) if path.name.split(".")[0] == split]
    if len(found) != 1:
        raise SandboxError(f"{hidden}: needs one file or folder for the split {split!r}")
    return found[0]


def _failure(why: str, channel: Channel, output: bytes = b"") -> EvaluationError:
    hit = channel.limit_hit
    why = f"it reached its limit of {hit}" if hit else why
    said = [repr(output[-1000:])] if output else []
    said += [channel.said] if channel.said else []
    return EvaluationError(f"the evaluation failed: {why}", "\n".join(said))


def read_result(output: bytes, nonce: str, items: int, seconds: float) -> Score:
    """Return the score that an evaluator printed.

    Args:
        output: all of it.
        nonce: that it was told.
        items: that there must be; 0: not known.
        seconds: that it took.

    Raises:
        EvaluationError: it says that the artefact cannot be loaded.
        ValueError: it gives no result.
    """
    lines = [line for line in output.split(b"\n") if line.strip()]
    ours = [line for line in lines if nonce.encode() in line]
    if len(ours) != 1 and (ours or len(lines) != 1):
        raise ValueError("it printed no single result")
    try:
        result = json.loads((ours or lines)[0])
    except (ValueError, RecursionError) as error:
        raise ValueError("it printed no result") from error
    if not isinstance(result, dict) or result.get("nonce", nonce) != nonce:
        raise ValueError("it printed no result")
    if isinstance(result.get("error"), str):
        raise EvaluationError(result["error"][:_TOLD], refused=True)
    values: Any = result.get("items")
    extra = result.get("extra", {})
    if not _are_shares(values) or (items and len(values) != items) or not _is_plain(extra):
        raise ValueError("its result is not as agreed")
    return score_of([float(value) for value in values], seconds, extra)


def _are_shares(values: Any) -> bool:
    return (
        isinstance(values, list)
        and bool(values)
        and all(type(value) in (int, float, bool) and 0 <= value <= 1 for value in values)
    )


def _is_plain(extra: Any) -> bool:
    """Return whether it is a table of finite numbers, with a value in range if it has one."""
    try:
        json.dumps(extra, allow_nan=False)
    except ValueError:
        return False
    if not isinstance(extra, dict):
        return False
    value, error = extra.get("value", 0.0), extra.get("error", 0.0)
    return (
        type(value) in (int, float)
        and 0 <= value <= 100
        and type(error) in (int, float)
        and error >= 0
    )
