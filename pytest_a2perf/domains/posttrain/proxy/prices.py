"""What tokens cost."""

from __future__ import annotations

import contextlib
from typing import Any

from pytest_a2perf.domains.posttrain.proxy.options import LlmOptions, PriceOptions
from pytest_a2perf.domains.posttrain.proxy.usage import Tokens
from pytest_a2perf.errors import A2PerfError
from pytest_a2perf.llm.provider import load_litellm

__all__ = ["Prices"]

_MILLION = 1e6


class Prices:
    """Prices by model: given ones, else those of litellm's table, which is loaded when needed.

    Args:
        options: see `LlmOptions`.
    """

    def __init__(self, options: LlmOptions) -> None:
        self._options = options
        self._known: dict[str, PriceOptions | None] = {}

    def of(self, model: str) -> PriceOptions | None:
        """Return the prices of a model; None if nobody knows them."""
        if model not in self._known:
            upstream = self._options.upstream_of(model)
            given = None if upstream is None else upstream.prices
            self._known[model] = given or _listed(model)
        return self._known[model]

    def dollars(self, model: str, tokens: Tokens) -> float | None:
        """Return what a call cost; None if the prices are not known."""
        price = self.of(model)
        if price is None:
            return None
        cached = price.input if price.cached is None else price.cached
        written = price.input if price.written is None else price.written
        fresh = tokens.input - tokens.cached - tokens.written
        total = fresh * price.input + tokens.cached * cached + tokens.written * written
        return (total + tokens.output * price.output) / _MILLION


def _listed(model: str) -> PriceOptions | None:
    """Return the prices of litellm's table."""
    info: dict[str, Any] = {}
    with contextlib.suppress(A2PerfError):  # it is not installed
        table = load_litellm().model_cost
        info = table.get(model) or table.get(model.rpartition("/")[2]) or {}
    prices = {
        name: info.get(key)
        for name, key in (
            ("input", "input_cost_per_token"),
            ("output", "output_cost_per_token"),
            ("cached", "cache_read_input_token_cost"),
            ("written", "cache_creation_input_token_cost"),
        )
    }
    # Some that it knows have a price of 0 for want of a better one.
    if not prices["input"] or not prices["output"]:
        return None
    return PriceOptions(**{name: p * _MILLION for name, p in prices.items() if p is not None})
