# ruff: noqa: INP001, T201
"""Reference solution of a2perf/programs: demonstrations, own programs that pass, rewards.

First it learns from what demonstrations there are, then from those of its own programs that pass
the tests, and then by reinforcement with the tests as reward. What is withheld is left out.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import grader  # type: ignore[import-not-found]  # in the box
import torch
from nano.grpo import GrpoOptions, grpo  # type: ignore[import-not-found]
from nano.io import load, save  # type: ignore[import-not-found]
from nano.sample import Sampling, complete  # type: ignore[import-not-found]
from nano.sft import SftOptions, sft  # type: ignore[import-not-found]
from programs_stack import passes  # type: ignore[import-not-found]

DATA, OUTPUT = Path(os.environ["DATA_PATH"]), Path(os.environ["OUTPUT_DIR"])
SEED = int(os.environ.get("SEED", "0"))
CPU = 0.8 * float(os.environ.get("BUDGET_CPU_SECONDS", "inf"))
LENGTH = 13
SAMPLES = 4  # programs for each specification, of which those that pass are learnt


def main() -> None:
    """Train, and submit after each stage."""
    torch.set_num_threads(1)
    model = load(os.environ["MODEL_PATH"])
    shown = [(row["prompt"], row["reply"]) for row in read("demonstrations.jsonl")]
    if shown:
        sft(model, shown, SftOptions(steps=30, rate=1e-3, seed=SEED), watch)
        hand_in(model, "demonstrations")
    rewards = read("rewards.jsonl")
    if not rewards:
        return
    asked = rewards * SAMPLES
    replies = complete(model, [row["prompt"] for row in asked], Sampling(LENGTH), seed=SEED)
    own = [
        (row["prompt"], reply)
        for row, reply in zip(asked, replies, strict=True)
        if passes(reply, row["tests"])
    ]
    print(f"{len(own)} of {len(asked)} programs pass", flush=True)
    if own:
        sft(model, own + shown, SftOptions(steps=60, rate=1e-3, seed=SEED), watch)
        hand_in(model, "own")

    def reward(number: int, reply: str) -> float:
        return float(passes(reply, rewards[number]["tests"]))

    options = GrpoOptions(
        steps=30, tasks=24, rate=5e-4, seed=SEED, sampling=Sampling(length=LENGTH)
    )
    means = grpo(model, [row["prompt"] for row in rewards], reward, options, watch)
    print(f"mean reward {means[0]:.2f} -> {means[-1]:.2f}", flush=True)
    hand_in(model, "rewards")


def read(name: str) -> list[dict[str, Any]]:
    """Return the rows of a file; none if it is withheld."""
    path = DATA / name
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def hand_in(model: object, name: str) -> None:
    """Save a model and submit it."""
    save(model, OUTPUT / name)
    print(name, grader.submit(f"output/{name}").get("score"), flush=True)


def watch(step: int, figure: float) -> bool:
    """End a training when it is time."""
    del step, figure
    return time.process_time() > CPU


if __name__ == "__main__":
    main()
