"""Run folders of the domain `posttrain`, built as the harness leaves them."""

from __future__ import annotations

import hashlib
import json
import shutil
import textwrap
from dataclasses import dataclass, field
from pathlib import Path

from pytest_a2perf.domains.posttrain.files import RunFiles
from pytest_a2perf.domains.posttrain.grading.log import Log
from pytest_a2perf.domains.posttrain.grading.submission import Score, Submission
from pytest_a2perf.domains.posttrain.info import RunInfo
from pytest_a2perf.domains.posttrain.recording import ShadowRepository

ITEMS = 40


def score(share: float, n: int = ITEMS, shift: int = 0, **rest) -> Score:
    """A score with that share of right items; ``shift`` decides which ones they are."""
    right = round(share * n)
    items = tuple(float((number + shift) % n < right) for number in range(n))
    value = 100 * sum(items) / n
    return Score(
        value, 100 * (share * (1 - share) / n) ** 0.5, items, rest.pop("seconds", 1.0), rest
    )


@dataclass
class Handed:
    """A submission that is to be."""

    public: Score | None
    code: dict[str, str] = field(default_factory=dict)
    private: Score | None = None
    cpu: float = 5.0
    seconds: float = 10.0
    status: str = "scored"
    reason: str = ""
    path: str = ""
    repeated: int = 0
    weights: bytes | None = None


def build_run(
    root: Path, handed: list[Handed], *, log: str = "", calls=(), base=0.5, **info
) -> RunFiles:
    """Build the folder of a run that handed these in, with a sample a second."""
    files = RunFiles(root)
    files.workspace.mkdir(parents=True)
    repository = ShadowRepository(files.shadow, files.workspace)
    submissions = Log(files.submissions)
    journal = Log(files.grading / "journal.jsonl")
    at = clock = cpu = 0.0
    samples = []
    for number, one in enumerate(handed, 1):
        write(files.workspace, one.code)
        path = one.path or f"output/v{number}"
        weights = one.weights if one.weights is not None else f"weights {number}".encode()
        if one.path != "models/base":
            target = files.workspace / path / "model.safetensors"
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(weights)
        for _ in range(int(one.seconds)):
            at, clock, cpu = at + 1, clock + 1, cpu + one.cpu / one.seconds
            samples.append(
                {"clock": clock, "cpu": cpu, "memory": 1e8, "processes": 3, "joules": 4 * cpu}
            )
        submissions.append(
            Submission(
                number, at, clock, path, hashlib.sha256(weights + path.encode()).hexdigest(),
                len(weights), one.status, one.reason, one.public, one.private,
                repository.commit(f"submission {number}"), cpu, one.repeated,
            ).to_json()
        )  # fmt: skip
        if one.public is not None:
            clock += 2
            journal.append({"kind": "evaluated", "number": number, "clock": clock})
            samples.append(
                {"clock": clock, "cpu": cpu, "memory": 1e8, "processes": 3, "joules": 4 * cpu}
            )
    if not handed:
        repository.commit("end")
    submissions.close()
    journal.close()
    assert not repository.notes
    files.process.write_text("".join(json.dumps(sample) + "\n" for sample in samples))
    files.calls.write_text("".join(json.dumps(call) + "\n" for call in calls))
    files.output.write_text(log)
    about = {
        "task": "a2perf/arithmetic", "level": 1, "stands_for": "GSM8K", "metric": "exact match",
        "noise": 0.0, "agent": "somebody", "base_name": "base", "seconds": at, "clock": clock,
        "cpu": cpu, "ended": "finished", "status": 0, "budget": {"cpu": 100.0, "wall": 200.0},
        "base_public": vars_of(score(base)), "base_private": vars_of(score(base)),
    }  # fmt: skip
    RunInfo(**{**about, **info}).write(files.about)
    return files


def vars_of(one: Score) -> dict:
    return {
        "value": one.value,
        "error": one.error,
        "items": list(one.items),
        "seconds": one.seconds,
        "extra": {},
    }


def write(folder: Path, sources: dict[str, str | bytes]) -> None:
    for name, text in sources.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(text, bytes):
            path.write_bytes(text)
        else:
            path.write_text(textwrap.dedent(text))


def copy_run(files: RunFiles, root: Path) -> RunFiles:
    """A copy that a test may break."""
    shutil.copytree(files.root, root)
    return RunFiles(root)


RUN = {"start.sh": "cd code\npython train.py\n"}

SFT = RUN | {
    "code/train.py": """
        import torch
        import torch.nn.functional as F
        from nano.io import load, save

        def main():
            model = load("models/base")
            optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
            for tokens in batches():
                loss = F.cross_entropy(model(tokens[:, :-1]).flatten(0, 1), tokens[:, 1:].flatten())
                loss.backward()
                optimizer.step()
            save(model, "output/v1")

        if __name__ == "__main__":
            main()
        """
}

GRPO = RUN | {
    "code/train.py": """
        import torch
        from loop import train
        train("models/base")
        """,
    "code/loop.py": """
        import torch
        from nano.io import load

        def reward(text):
            return float(text.endswith("ok"))

        def train(path):
            model, trainer = load(path), torch.optim.Adam(model.parameters())
            while True:
                replies = model.generate(prompts)
                gains = torch.tensor([reward(reply) for reply in replies])
                rewards = gains.view(-1, 8)
                weight = rewards - rewards.mean(1, keepdim=True)
                chances = torch.log_softmax(model(replies), -1).gather(-1, replies)
                change = torch.exp(chances - old)
                loss = -torch.min(change * weight, torch.clamp(change, 0.8, 1.2) * weight).mean()
                loss.backward()
                trainer.step()
        """,
}

REINFORCE = RUN | {
    "code/train.py": """
        import torch
        optimizer = torch.optim.SGD(model.parameters(), 0.1)
        for prompt in prompts:
            out = model.generate(prompt)
            logp = model.log_prob(out)
            (-(logp * reward(out))).mean().backward()
            optimizer.step()
        """
}

NANO_RL = RUN | {
    "code/train.py": """
        from nano.grpo import grpo, GrpoOptions
        from nano.io import load, save
        model = load("models/base")
        grpo(model, ["1+1="], lambda number, text: 1.0, GrpoOptions(steps=3))
        save(model, "output/v1")
        """
}

HYBRID = RUN | {
    "code/train.py": """
        import nano.sft
        from nano import grpo as rl
        nano.sft.sft(model, demos)
        rl.grpo_episodes(model, Household, range(100))
        """
}

TRL = RUN | {
    "code/train.py": """
        from trl import GRPOConfig, GRPOTrainer
        GRPOTrainer(model="models/base", reward_funcs=[check], args=GRPOConfig()).train()
        """
}

DPO = RUN | {
    "code/train.py": """
        import torch.nn.functional as F
        from torch.optim import AdamW
        optim = AdamW(policy.parameters())
        for chosen, rejected in pairs:
            margin = policy.log_prob(chosen) - policy.log_prob(rejected)
            loss = -F.logsigmoid(0.1 * margin).mean()
            loss.backward()
            optim.step()
        """
}

REJECTION = RUN | {
    "code/train.py": """
        from nano.sample import complete
        from nano.sft import sft

        def collect(model):
            kept = []
            for prompt, answer in prompts:
                for reply in complete(model, [prompt] * 16):
                    if is_correct(reply, answer):
                        kept.append((prompt, reply))
            return kept

        sft(model, collect(model))
        """
}

BEST_OF_N = RUN | {
    "code/train.py": """
        from nano.sample import complete
        from nano.sft import sft
        texts = []
        for prompt in prompts:
            replies = complete(model, [prompt] * 8)
            texts.append((prompt, max(replies, key=judge_score)))
        sft(model, texts)
        """
}

FORMAT = RUN | {
    "code/train.py": """
        import json
        from pathlib import Path
        Path("output/v1/generation_config.json").write_text(json.dumps({"temperature": 0}))
        """
}

RANDOM = RUN | {
    "code/train.py": """
        import torch
        from nano.io import save
        from nano.model import Config, NanoLM
        torch.manual_seed(0)
        save(NanoLM(Config()), "output/v1")
        """
}

COPY = {"start.sh": 'cp -r "$MODEL_PATH" output/v1\npython -m grader submit output/v1\n'}

PRETENDER = RUN | {
    "code/train.py": '''
        # GRPO: optimizer = torch.optim.AdamW; loss.backward(); advantages * log_probs
        """Trains with GRPOTrainer and PPO, policy gradient, rewards."""
        import json
        from trl import GRPOTrainer, SFTTrainer   # never used

        def grpo_train(model):
            return model   # all of the GRPO is here

        def never_called():
            optimizer = torch.optim.AdamW(model.parameters())
            (-(logp * reward)).mean().backward()
            GRPOTrainer(model).train()

        def main():
            print("step 1 GRPO reward 0.9")
            grpo_train(None)
            if False:
                SFTTrainer(model).train()
            return 0
            never_called()

        main()
        ''',
    "code/unused.py": "from nano.grpo import grpo\ngrpo(model, prompts, reward)\n",
}

ROUTES = {
    "sft": (SFT, "SFT", ""),
    "grpo-by-hand": (GRPO, "RL", "GRPO"),
    "reinforce": (REINFORCE, "RL", "REINFORCE"),
    "nano-rl": (NANO_RL, "RL", "GRPO"),
    "hybrid": (HYBRID, "SFT+RL", "GRPO"),
    "trl": (TRL, "RL", "GRPO"),
    "dpo": (DPO, "RL", "DPO"),
    "rejection": (REJECTION, "rejection sampling", ""),
    "best-of-n": (BEST_OF_N, "best-of-n distillation", ""),
    "format": (FORMAT, "placeholder/missing", ""),
    "random": (RANDOM, "random", ""),
    "copy": (COPY, "placeholder/missing", ""),
    "pretender": (PRETENDER, "placeholder/missing", ""),
    "empty": ({}, "placeholder/missing", ""),
}
