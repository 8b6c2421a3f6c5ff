"""What the agent is told: rules, interface, budget, and how to report."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_a2perf.domains.posttrain.tasks.base import Budget
from pytest_a2perf.domains.posttrain.workspace.names import Mode

__all__ = ["PROMPT", "TIMER", "guide", "instructions"]

PROMPT = """\
You are an AI researcher who post-trains a language model. The folder {workspace} is your
workspace. Read description.md (the task) and instructions.md (rules, grading interface, budget)
there first. Then do the whole task on your own, without asking anybody: write code under code/,
train, save models under output/, submit them to the grading service, and improve on the score
until the budget is used up. Start with something simple that can be submitted, then iterate."""
"""The first message for command-line coding agents, where the scenario gives none."""

TIMER = """\
#!/bin/bash
# Prints how much of the budget is left.
exec python3 -m grader remaining
"""

_MODES: dict[Mode, str] = {
    "free": "Any method is allowed: supervised fine-tuning, reinforcement learning, or both.",
    "sft": "Train by supervised fine-tuning only: rewards and judges are not offered.",
    "rl": "Train by reinforcement learning only: there are no demonstrations among the data.",
}

_INSTRUCTIONS = """\
# Instructions

You get a base model, training data and a limited budget, and you are to make the model better at
the task in `description.md`. You may submit models as you go; each submission is scored on a
hidden set of examples, and you are told the score. In the end your submission with the best score
is scored once more, on another hidden set, and compared with the base model. That is the result.

{mode}

## Where things are
| path | variable | what |
|---|---|---|
| `code/` | | your code; keep it here, it is part of the record |
| `output/` | `OUTPUT_DIR` | models that you train, e.g. `output/v1`, `output/v2` |
| `models/{base}` | `MODEL_PATH` | the base model, read-only |
| `data/` | `DATA_PATH` | training data, read-only |
| `reports/` | | your own notes, see below |
| `description.md` | | the task |
| `run_meta.json`, `scores.json` | | copies for your information; changing them changes nothing |
| `timer.sh` | | prints the time that is left |
| {toolkit} | `PYTHONPATH` | code that you may import: `grader`, and the task's own, if any |

Further variables: `TASK`, `BASE_MODEL`, `WORKSPACE` (this folder), `GRADING_SERVER_URL`, `SEED`.
Go by the variables rather than by absolute paths.
{exposed}
## Grading service
```bash
curl -X POST "$GRADING_SERVER_URL/submit" -H "Content-Type: application/json" \\
     -d '{{"model_path": "output/v1"}}'
curl "$GRADING_SERVER_URL/time"        # what is left of the budget
curl "$GRADING_SERVER_URL/history"     # all submissions so far
curl "$GRADING_SERVER_URL/best"        # the best one
curl "$GRADING_SERVER_URL/health"
```
```python
import grader                          # standard library only

answer = grader.submit("output/v1")    # waits for the score
print(answer["score"], answer["baseline_score"], answer["improvement"], answer["best"])
print(grader.time())
```
An answer has `submission_id`, `score` (0 to 100, higher is better), `baseline_score`,
`improvement`, `best`, `total_submissions` and, if something is wrong, `error`. With
`"wait": false` you get a number at once; ask `/submission/NUMBER` for the rest. Submissions are
evaluated one after the other.
{services}
## What can be submitted
A folder in the workspace with a whole model in the layout of the base model: `config.json`,
weights as `.safetensors`, tokenizer files if the base model has them. Adapters must be merged
first. Pickled weights (`.bin`, `.pt`) and Python files are refused, and so is the base model, also
if it is saved again. The folder is copied when you submit it, so you may go on writing to it.

## Budget
{budget}
The clock stands still while you wait for a score. When a limit is reached, your processes get
SIGTERM and are killed a few seconds later; what was submitted until then counts.

## What is hidden
The evaluation sets and the evaluator are not on this machine as far as you can see it. Looking for
them is recorded and gains nothing.

## Network
{network}

## Reports
After each attempt add a section to `reports/summary.md`: what you did and why, method and main
settings, score, what went wrong. Add a line to `reports/summary.jsonl` with `iteration`,
`timestamp`, `status`, `score`, `improvement`, `train_type` (e.g. `SFT`, `GRPO`, `DPO`) and
`failure_type`, if any. Only add, never rewrite. If a language model drives you, write the tokens
and dollars that it took to `reports/usage.json`: `{{"input_tokens": 0, "output_tokens": 0,
"dollars": 0.0, "model": ""}}`.
"""

_GUIDE = """\
# Guide for coding agents

- The task is in `description.md`; rules, grading interface and budget are in `instructions.md`.
  Read both before you begin.
- Work on your own until the budget is used up. Nobody answers questions.
- After every attempt and every submission add to `reports/summary.md` and `reports/summary.jsonl`
  as `instructions.md` says. Never rewrite what is there.
- `bash timer.sh` prints the time that is left.
"""


def instructions(
    base: str,
    budget: Budget,
    mode: Mode,
    *,
    toolkit: str,
    services: Sequence[str] = (),
    exposed: Sequence[str] = (),
    network: bool = False,
    llm: bool = False,
) -> str:
    """Return the text of ``instructions.md``.

    Args:
        base: name of the base model.
        budget: of the agent.
        mode: see `Mode`.
        toolkit: its folder, inside.
        services: of the task, that the agent may call.
        exposed: names of further files in the workspace.
        network: whether there is one.
        llm: whether language models may be asked.
    """
    offered = "".join(
        f"\n`POST $GRADING_SERVER_URL/{name}` is the task's {name}; see `description.md`.\n"
        for name in services
    )
    shown = f"\nAlso here: {', '.join(f'`{name}`' for name in exposed)}.\n" if exposed else ""
    return _INSTRUCTIONS.format(
        mode=_MODES[mode],
        base=base,
        toolkit=f"`{toolkit}`",
        exposed=shown,
        services=offered,
        network=_network(network=network, llm=llm),
        budget="\n".join(f"- {line}" for line in _budget(budget, services)) + "\n",
    )


def _network(*, network: bool, llm: bool) -> str:
    told = "The network is that of the host." if network else "There is none."
    if llm:
        told += (
            " Language models answer where `OPENAI_BASE_URL` and `ANTHROPIC_BASE_URL` say, in"
            " either interface; any key will do, and their tokens are counted."
        )
    return told


def guide() -> str:
    """Return the text of ``AGENTS.md`` and ``CLAUDE.md``, which coding agents read unasked."""
    return _GUIDE


def _budget(budget: Budget, services: Sequence[str]) -> list[str]:
    lines = [
        f"{limit:,.{digits}f} {what}"
        for limit, digits, what in (
            (budget.cpu, 0, "CPU seconds of all your processes together"),
            (budget.wall, 0, "seconds by the clock"),
            (budget.submissions, 0, "scored submissions"),
            (budget.calls if services else None, 0, f"calls of {' and '.join(services)}"),
            (_mib(budget.memory), 0, "MiB of memory"),
            (_mib(budget.disk), 0, "MiB on disk"),
            (budget.processes, 0, "processes at once"),
        )
        if limit is not None
    ]
    return lines or ["no limits"]


def _mib(size: int | None) -> float | None:
    return None if size is None else size / 2**20
