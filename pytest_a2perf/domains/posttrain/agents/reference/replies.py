# ruff: noqa: INP001, T201
"""Reference solution of a2perf/replies: demonstrations, then preferences cleared of length (DPO).

Each round the model writes replies, the judge compares them in pairs, the effect of length is taken
out of its preferences, and the model learns to write what is preferred: direct preference
optimisation with probabilities as labels, on its own replies. What is withheld is left out.
"""

from __future__ import annotations

import copy
import json
import math
import os
import random
import time
from pathlib import Path
from typing import Any

import grader  # type: ignore[import-not-found]  # in the box
import torch
from nano.io import load, save  # type: ignore[import-not-found]
from nano.sample import Sampling, complete  # type: ignore[import-not-found]
from nano.sft import SftOptions, sft  # type: ignore[import-not-found]
from nano.turns import likelihoods, optimiser, tokens_of  # type: ignore[import-not-found]

DATA, OUTPUT = Path(os.environ["DATA_PATH"]), Path(os.environ["OUTPUT_DIR"])
SEED = int(os.environ.get("SEED", "0"))
CALLS = int(os.environ.get("BUDGET_CALLS", "6000"))
CPU = 0.8 * float(os.environ.get("BUDGET_CPU_SECONDS", "inf"))
WARM_UP = SftOptions(steps=60, rate=1e-3, seed=SEED)
ROUNDS = 3
STEPS, BATCH, RATE = 40, 64, 3e-4  # of each round, in pairs
BETA = 0.5  # how dear distance from the round's first model is
LENGTH, SCALE = 41, 10.0
Pair = tuple[str, str, str]


def main() -> None:
    """Train, and submit after each round."""
    torch.set_num_threads(1)
    model = load(os.environ["MODEL_PATH"])
    shown = [(row["prompt"], row["reply"]) for row in read("demonstrations.jsonl")]
    if shown:
        sft(model, shown, WARM_UP)
        hand_in(model, "sft")
    if "judge" not in grader.health()["services"]:
        return
    prompts = [row["prompt"] for row in read("prompts.jsonl")]
    for number in range(ROUNDS):
        pairs = drawn(model, prompts, CALLS // ROUNDS, SEED + number)
        odds = judged(pairs)
        if number == 0:  # later, what is longer is also worse or better for other reasons
            slope = length_effect(pairs, odds)
            print(f"effect of length: {slope:.2f}", flush=True)
        learn(model, pairs, without_length(pairs, odds, slope), number)
        hand_in(model, f"dpo{number + 1}")
        if spent():
            break


def drawn(model: object, prompts: list[str], count: int, seed: int) -> list[Pair]:
    """Return pairs of different replies to the same prompt."""
    rng = random.Random(seed)
    asked = [rng.choice(prompts) for _ in range(count)]
    twice = [complete(model, asked, Sampling(LENGTH), seed=2 * seed + part) for part in (0, 1)]
    return [pair for pair in zip(asked, *twice, strict=True) if pair[1] != pair[2]]


def judged(pairs: list[Pair]) -> list[float]:
    """Return the log-odds with which the judge prefers the first replies."""
    odds: list[float] = []
    for start in range(0, len(pairs), 1000):
        answer = grader.ask("/judge", {"pairs": pairs[start : start + 1000]})
        odds += [
            math.log(max(share, 1e-6) / max(1 - share, 1e-6)) for share in answer["preferences"]
        ]
    return odds


def length_effect(pairs: list[Pair], odds: list[float]) -> float:
    """Return by how much log-odds rise with the difference in length."""
    longer = [difference(pair) for pair in pairs]
    return sum(x * y for x, y in zip(longer, odds, strict=True)) / sum(x * x for x in longer)


def without_length(pairs: list[Pair], odds: list[float], slope: float) -> list[float]:
    """Return preferences from which what the difference in length explains is taken out."""
    return [
        1 / (1 + math.exp(slope * difference(pair) - y))
        for pair, y in zip(pairs, odds, strict=True)
    ]


def difference(pair: Pair) -> float:
    """Return by how much the first reply is longer, as the judge feels it."""
    _, ours, theirs = pair
    return math.tanh((len(ours) - len(theirs)) / SCALE)


def learn(model: Any, pairs: list[Pair], preferences: list[float], number: int) -> None:
    """Direct preference optimisation, in place; no round takes the time of a later one."""
    start = copy.deepcopy(model).requires_grad_(False)
    trainer = optimiser(model, RATE, 0.0)
    rng = random.Random(SEED + number)
    for _ in range(STEPS):
        rows = rng.choices(range(len(pairs)), k=BATCH)
        texts = [(pairs[row][0], pairs[row][part] + "\n") for part in (1, 2) for row in rows]
        ratio = chances(model, texts) - chances(start, texts)
        margin = BETA * (ratio[:BATCH] - ratio[BATCH:])
        wanted = torch.tensor([preferences[row] for row in rows])
        loss = torch.nn.functional.binary_cross_entropy_with_logits(margin, wanted)
        trainer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        trainer.step()
        if spent((number + 1) / ROUNDS):
            break


def chances(model: object, texts: list[tuple[str, str]]) -> torch.Tensor:
    """Return the logarithm of the probability of each reply."""
    tokens, written = tokens_of(model, texts)
    rows = torch.arange(len(texts))[:, None].expand(written[:, 1:].shape)[written[:, 1:]]
    return torch.zeros(len(texts)).index_add(0, rows, likelihoods(model, tokens, written))


def read(name: str) -> list[dict[str, str]]:
    """Return the rows of a file; none if it is withheld."""
    path = DATA / name
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def hand_in(model: object, name: str) -> None:
    """Save a model and submit it."""
    save(model, OUTPUT / name)
    print(name, grader.submit(f"output/{name}").get("score"), flush=True)


def spent(share: float = 1.0) -> bool:
    """Return whether so much of the time is used up."""
    return time.process_time() > share * CPU


if __name__ == "__main__":
    main()
