"""What models may use in a trial, and what they have used."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pytest_a2perf.errors import AgentError, AgentFailure
from pytest_a2perf.llm import Totals

__all__ = ["Limits", "report_usage"]

_REPORTED = (
    ("calls", ""),
    ("prompt_tokens", ""),
    ("completion_tokens", ""),
    ("cached_tokens", ""),
    ("reasoning_tokens", ""),
    ("retries", ""),
    ("seconds", "s"),
)


@dataclass(frozen=True, slots=True)
class Limits:
    """What an agent may use in one trial; the step that goes beyond is done, the next is not.

    Attributes:
        max_steps: decisions, each of them usually one call of the model.
        max_total_tokens: of prompts and completions together; None: any.
        max_cost: dollars; None: any.
    """

    max_steps: int = 80
    max_total_tokens: int | None = None
    max_cost: float | None = None

    def check(self, totals: Totals) -> None:
        """Make sure that the model may be asked once more.

        Raises:
            AgentFailure: a limit is reached.
            AgentError: it cannot be known whether it is.
        """
        if self.max_total_tokens is not None:
            if totals.uncounted:
                raise AgentError("max_total_tokens: the server does not count its tokens")
            if totals.tokens >= self.max_total_tokens:
                raise AgentFailure(
                    f"the agent has used {totals.tokens} tokens (max_total_tokens = "
                    f"{self.max_total_tokens})"
                )
        if self.max_cost is not None:
            if totals.cost is None:
                raise AgentError(
                    "max_cost: the price of the model is unknown; give prices = [PROMPT, "
                    "COMPLETION] in dollars for a million tokens"
                )
            if totals.cost >= self.max_cost:
                raise AgentFailure(
                    f"the agent has cost {totals.cost:.4g} dollars (max_cost = {self.max_cost:g})"
                )


def report_usage(
    report: Callable[[str, float, str], None], prefix: str, totals: Totals | None
) -> None:
    """Report what a model has used; dollars only if they are known.

    Args:
        report: takes name, value and unit.
        prefix: of the names, e.g. ``judge_``.
        totals: of the model; None reports nothing.
    """
    if totals is None:
        return
    for name, unit in _REPORTED:
        report(prefix + name, getattr(totals, name), unit)
    if totals.cost is not None:
        report(f"{prefix}cost", totals.cost, "USD")
    if totals.replayed:
        report(f"{prefix}replayed_calls", totals.replayed, "")
    if totals.uncounted:
        report(f"{prefix}uncounted_calls", totals.uncounted, "")
