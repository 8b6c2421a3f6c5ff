"""aiperf and guidellm, each in a virtual environment of its own, against the reference server.

Both get the same prompts from files, which is what is quickest for them: making prompts up takes
aiperf some and guidellm most of its time. aiperf takes the server's counts of tokens, as guidellm
does anyway.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["PEERS", "Measured", "Peer", "Task", "install", "make_tokenizer"]

LIMIT = 300.0  # seconds for a whole run


@dataclass(frozen=True)
class Measured:
    """What a client says: milliseconds to the first token, and tok/s after it."""

    ttft_mean: float
    ttft_p95: float
    speed_p25: float


@dataclass(frozen=True)
class Task:
    """A load: so many streams, a request of 100 tokens for each prompt; a tokenizer lies there."""

    url: str
    streams: int
    prompts: Sequence[str]
    folder: Path


@dataclass(frozen=True)
class Peer:
    """A tool: how it is installed, and how it is run."""

    name: str
    version: str
    packages: tuple[tuple[str, ...], ...]  # installed one after the other
    run: Callable[[Path, Task], Measured]


def install(peer: Peer, folder: Path) -> Path:
    """Make a virtual environment, and return its Python."""
    python = folder / peer.name / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(python.parents[1])], check=True)
    for packages in peer.packages:
        command = [str(python), "-m", "pip", "install", "--quiet", *packages]
        subprocess.run(command, check=True)
    return python


def make_tokenizer(folder: Path, text: str) -> None:
    """Train a small tokenizer: both tools want one, and none must come over the network."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=4096,
        special_tokens=["<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([text], trainer)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    told = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(told | {"model_max_length": 10**6}))
    (folder / "config.json").write_text(json.dumps({"model_type": "llama"}))


def run_aiperf(python: Path, task: Task) -> Measured:
    """Replay bodies as they are."""
    always = {"model": "reference", "stream": True, "stream_options": {"include_usage": True}}
    always |= {"max_tokens": 100, "ignore_eos": True}
    with (task.folder / "bodies.jsonl").open("w") as file:
        for prompt in task.prompts:
            body = {**always, "messages": [{"role": "user", "content": prompt}]}
            file.write(json.dumps(body) + "\n")
    flags = f"""
        --model reference --url {task.url.removesuffix("/v1")} --endpoint-type chat --streaming
        --input-file bodies.jsonl --custom-dataset-type raw_payload --use-server-token-count
        --concurrency {task.streams} --request-count {len(task.prompts)} --tokenizer ./tokenizer
        --output-artifact-dir aiperf --ui none --no-gpu-telemetry --no-server-metrics
    """
    run([str(python), "-m", "aiperf", "profile", *flags.split()], task.folder)
    told = json.loads((task.folder / "aiperf" / "profile_export_aiperf.json").read_text())
    first = told["time_to_first_token"]
    speed = told["output_token_throughput_per_user"]
    return Measured(first["avg"], first["p95"], speed["p25"])


def run_guidellm(python: Path, task: Task) -> Measured:
    """Send prompts; the speed of a request is taken as one over its mean inter-token latency."""
    with (task.folder / "prompts.jsonl").open("w") as file:
        for prompt in task.prompts:
            file.write(json.dumps({"prompt": prompt, "output_tokens_count": 100}) + "\n")
    flags = f"""
        --backend kind=openai_http,target={task.url.removesuffix("/v1")},model=reference
        --profile kind=concurrent,streams={task.streams}
        --constraint kind=max_requests,count={len(task.prompts)}
        --data kind=json_file,path=prompts.jsonl
        --tokenizer kind=huggingface_auto,model=./tokenizer
        --output kind=json,path=guidellm.json --disable-console
    """
    run([str(python), "-m", "guidellm", "run", *flags.split()], task.folder)
    metrics = json.loads((task.folder / "guidellm.json").read_text())["benchmarks"][0]["metrics"]
    first = metrics["time_to_first_token_ms"]["successful"]
    between = metrics["inter_token_latency_ms"]["successful"]["percentiles"]["p75"]
    return Measured(first["mean"], first["percentiles"]["p95"], 1000 / between)


def run(command: Sequence[str], folder: Path) -> None:
    """Run a tool, and end all of its processes if it does not end by itself."""
    log = folder / "peer.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            command, cwd=folder, stdout=file, stderr=file, start_new_session=True
        )
        try:
            status = process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            status = None
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if status != 0:
        how = "did not end in time" if status is None else f"ended with status {status}"
        raise RuntimeError(f"{command[2]} {how}:\n{log.read_text(errors='replace')[-2000:]}")


PEERS = (
    Peer("aiperf", "0.13.0", (("aiperf==0.13.0",),), run_aiperf),
    # torch first and alone: what guidellm itself asks for may bring CUDA.
    Peer("guidellm", "0.8.1", (("torch==2.13.0",), ("guidellm==0.8.1",)), run_guidellm),
)
