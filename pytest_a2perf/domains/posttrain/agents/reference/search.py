# ruff: noqa: INP001, T201
"""Reference solution of a2perf/search: demonstrations first, then rejection sampling.

Demonstrations show that looking things up pays, but many end too soon. So the model is asked many
questions, and learns from its own inquiries that were right; rewards, unlike scores, are free of
the judge's errors. What is withheld is left out.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import grader  # type: ignore[import-not-found]  # in the box
import torch
from nano.io import load, save  # type: ignore[import-not-found]
from nano.rollout import rollout  # type: ignore[import-not-found]
from nano.sample import Sampling  # type: ignore[import-not-found]
from nano.sft import SftOptions, sft  # type: ignore[import-not-found]
from search_world import STEPS, Inquiry, read_world  # type: ignore[import-not-found]

DATA, OUTPUT = Path(os.environ["DATA_PATH"]), Path(os.environ["OUTPUT_DIR"])
SEED = int(os.environ.get("SEED", "0"))
CPU = 0.8 * float(os.environ.get("BUDGET_CPU_SECONDS", "inf"))
WARM_UP = SftOptions(steps=30, batch=16, rate=1e-3, warmup=5, seed=SEED)
OWN = SftOptions(steps=50, batch=24, rate=2e-3, warmup=5, seed=SEED)
ROUNDS = 2
TRIES = 6  # inquiries about each question


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
    index, questions = read_world(path)
    tasks = [number for number in range(len(questions)) for _ in range(TRIES)]
    for number in range(ROUNDS):
        episodes = rollout(
            model,
            lambda: Inquiry(index, questions),
            tasks,
            Sampling(length=6),
            turns=STEPS,
            seed=SEED + number,
        )
        right = [episode.turns for episode in episodes if episode.reward]
        print(f"round {number + 1}: {len(right)} of {len(episodes)} answers are right", flush=True)
        if spent() or not right:
            break
        sft(model, right, OWN, lambda *_: spent())
        hand_in(model, f"own{number + 1}")


def hand_in(model: object, name: str) -> None:
    """Save a model and submit it."""
    save(model, OUTPUT / name)
    print(name, grader.submit(f"output/{name}").get("score"), flush=True)


def spent() -> bool:
    """Return whether it is time to come to an end."""
    return time.process_time() > CPU


if __name__ == "__main__":
    main()
