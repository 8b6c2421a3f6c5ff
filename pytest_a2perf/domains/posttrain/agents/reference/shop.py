# ruff: noqa: INP001, T201
"""Reference solution of a2perf/shop: a few demonstrations, then online rollouts.

Demonstrations show that more can be searched for than the base model does; rewards, what pays
beyond that. What is withheld is left out.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import grader  # type: ignore[import-not-found]  # in the box
import torch
from nano.grpo import GrpoOptions, grpo_episodes  # type: ignore[import-not-found]
from nano.io import load, save  # type: ignore[import-not-found]
from nano.sample import Sampling  # type: ignore[import-not-found]
from nano.sft import SftOptions, sft  # type: ignore[import-not-found]
from shop_world import STEPS, Visit, read_world  # type: ignore[import-not-found]

DATA, OUTPUT = Path(os.environ["DATA_PATH"]), Path(os.environ["OUTPUT_DIR"])
SEED = int(os.environ.get("SEED", "0"))
CPU = 0.8 * float(os.environ.get("BUDGET_CPU_SECONDS", "inf"))
WARM_UP = SftOptions(steps=30, batch=16, rate=1e-3, warmup=5, seed=SEED)
ROUNDS = ((15, 2e-3), (15, 1e-3), (20, 1e-3), (20, 5e-4))  # steps and rate before each submission
BATCH: dict[str, Any] = {"tasks": 16, "group": 8, "turns": STEPS, "sampling": Sampling(length=8)}


def main() -> None:
    """Train, and submit after each stage."""
    torch.set_num_threads(1)
    model = load(os.environ["MODEL_PATH"])
    path = DATA / "demonstrations.jsonl"
    if path.exists():
        shown = [json.loads(line)["turns"] for line in path.read_text().splitlines()]
        sft(model, shown, WARM_UP, lambda *_: spent())
        hand_in(model, "sft")
    path = DATA / "rewards.json"
    if not path.exists():
        return
    shop, goals = read_world(path)
    for number, (steps, rate) in enumerate(ROUNDS):
        options = GrpoOptions(steps=steps, rate=rate, seed=SEED + number, **BATCH)
        means = grpo_episodes(
            model, lambda: Visit(shop, goals), range(len(goals)), options, lambda *_: spent()
        )
        print(f"round {number + 1}: mean reward {means[0]:.2f} -> {means[-1]:.2f}", flush=True)
        hand_in(model, f"grpo{number + 1}")
        if spent():
            break


def hand_in(model: object, name: str) -> None:
    """Save a model and submit it."""
    save(model, OUTPUT / name)
    print(name, grader.submit(f"output/{name}").get("score"), flush=True)


def spent() -> bool:
    """Return whether it is time to come to an end."""
    return time.process_time() > CPU


if __name__ == "__main__":
    main()
