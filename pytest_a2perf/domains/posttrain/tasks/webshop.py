"""``webshop``: shopping by search and clicks, by a command; with the user's model and products."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from pydantic import Field

from pytest_a2perf.domains.posttrain.tasks.configured import ConfiguredTask
from pytest_a2perf.domains.posttrain.tasks.configured_options import ConfiguredOptions, path_of
from pytest_a2perf.domains.posttrain.tasks.formats import Row

__all__ = ["WebshopTask"]

_EPISODES = 100

_DESCRIPTION = """\
# Web shop (WebShop)

Train the base model to buy what an instruction asks for, by searching, clicking and choosing
options, within 50 steps. {data}The score is the percentage of hidden instructions with a reward of
at least 0.5.

Submit the folder of a whole model: config, tokenizer and safetensors.
"""


class InstructionRow(Row):
    """An episode: the number of its instruction in the shop's list."""

    instruction: int = Field(ge=0)


class WebshopOptions(ConfiguredOptions):
    """What scenarios may set."""

    products: str = Field(description="file with products, as the evaluator's shop reads it")


class WebshopTask(ConfiguredTask):
    """Shopping; by default test data are the instructions 0 to 99, as upstream."""

    Options = WebshopOptions
    Hidden = InstructionRow
    needs_hidden = False
    options: WebshopOptions
    name = "webshop"
    level = 3
    metric = "share of episodes with a reward of 0.5 or more"
    noise = 1.0

    def description(self) -> str:
        """Return the text for agents."""
        data = "`data` has recordings of people who did. " if self.options.train else ""
        return _DESCRIPTION.format(data=data)

    def prompt_of(self, row: Any) -> str:
        """Return the instruction's number; recordings have none."""
        number = getattr(row, "instruction", None)
        return f"instruction {number}" if isinstance(number, int) else json.dumps(row.model_dump())

    def test_rows(self) -> list[Any]:
        """Return the instructions."""
        if self.options.hidden is not None:
            return super().test_rows()
        return [InstructionRow(instruction=number) for number in range(_EPISODES)]

    def further_problems(self) -> Iterator[str]:
        """Yield what is missing."""
        if not self.options.evaluator:
            yield "evaluator: give the command that runs the shop"
        path = path_of(self.options.products)
        if not path.is_file():
            yield f"products: there is no file {path}"
            return
        try:
            rows = json.loads(path.read_text(encoding="utf-8"))
        except (ValueError, RecursionError) as error:
            yield f"products: {path}:{getattr(error, 'lineno', 1)}: is no JSON: {error}"
            return
        entries = list(rows.values()) if isinstance(rows, dict) else rows
        if not isinstance(entries, list) or not entries:
            yield f"products: {path}:1: expected products"
        elif isinstance(rows, list) and not all(isinstance(p, dict) and "asin" in p for p in rows):
            yield f"products: {path}: expected products with an asin"

    def seen_by_evaluator(self) -> list[Any]:
        """Return the products."""
        return [path_of(self.options.products)]
