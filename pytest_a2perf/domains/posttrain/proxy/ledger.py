"""What the calls of a run took, and whether there may be more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pytest_a2perf.domains.posttrain.lines import append_line, read_lines
from pytest_a2perf.domains.posttrain.proxy.options import LlmOptions
from pytest_a2perf.domains.posttrain.proxy.prices import Prices
from pytest_a2perf.domains.posttrain.proxy.requests import Denied
from pytest_a2perf.domains.posttrain.proxy.usage import Tokens

__all__ = ["Ledger"]

_FREE = 10_000  # lines of calls that took nothing: no budget ends them


class Ledger:
    """Budget and log.

    Calls that are under way are not known yet: a budget may be exceeded by as many of them as there
    may be at once.

    Args:
        options: see `LlmOptions`.
        log: a JSON object a line; what an earlier process logged of this kind counts.
        kind: of the lines.
    """

    def __init__(self, options: LlmOptions, log: Path, kind: str) -> None:
        self._options = options
        self._log = log
        self._kind = kind
        self._prices = Prices(options)
        self.tokens = 0
        self.dollars = 0.0
        self._free = 0
        for line in read_lines(log, kind):
            tokens = int(line["input_tokens"]) + int(line["output_tokens"])
            self.tokens += tokens
            self._free += not tokens
            self.dollars += float(line["dollars"] or 0.0)

    def check(self, model: str) -> None:
        """Check that there may be another call; the first one may load a table of prices.

        Raises:
            Denied: the budget is used up, or cannot be kept as nobody knows the model's price.
        """
        price = self._prices.of(model)  # now, as it may take seconds
        most, dollars = self._options.tokens, self._options.dollars
        if most is not None and self.tokens >= most:
            raise _used_up(f"all {most} tokens are used up")
        if dollars is None:
            return
        if self.dollars >= dollars:
            raise _used_up(f"all {dollars:g} dollars are used up")
        if price is None:
            raise Denied(403, f"nobody knows what {model} costs, and dollars are limited")

    def enter(self, model: str, tokens: Tokens, **about: Any) -> None:
        """Count a call, and log it."""
        dollars = self._prices.dollars(model, tokens)
        self.tokens += tokens.total
        self.dollars += dollars or 0.0
        entry = {
            "kind": self._kind,
            "model": model,
            "input_tokens": tokens.input,
            "cached_tokens": tokens.cached,
            "output_tokens": tokens.output,
            "estimated": tokens.estimated,
            "dollars": dollars,
            **about,
        }
        self._free += not tokens.total
        beyond = 0 if tokens.total else self._free - _FREE
        if beyond == 1:
            entry["note"] = f"more than {_FREE} such calls: further ones are not written down"
        if beyond <= 1:
            append_line(self._log, entry)


def _used_up(message: str) -> Denied:
    return Denied(402, f"{message}: the budget of this run has no more", "budget_exhausted")
