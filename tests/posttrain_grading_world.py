"""A run's folder with a stand-in evaluator, and a client of the grading service."""

from __future__ import annotations

import http.client
import json
import struct
import sys
import time
from contextlib import contextmanager
from dataclasses import replace

import numpy as np

from pytest_a2perf.domains.posttrain.files import RunFiles
from pytest_a2perf.domains.posttrain.grading.client import GradingService
from pytest_a2perf.domains.posttrain.grading.config import Config, Place, Plan
from pytest_a2perf.domains.posttrain.grading.sockets import connect
from pytest_a2perf.domains.posttrain.sandbox.spec import Limits, Mount

ITEMS = 20

# The score is the first weight; config.json may ask this evaluator to misbehave in many ways.
EVALUATOR = """
import json, os, pathlib, struct, sys, time
request = json.loads(sys.stdin.readline())
folder = pathlib.Path(request["artefact"])
answers = json.loads((pathlib.Path(request["hidden"]) / f"{request['split']}.json").read_text())
config = json.loads((folder / "config.json").read_text())
raw = (folder / "model.safetensors").read_bytes()
start = 8 + int.from_bytes(raw[:8], "little")
share = struct.unpack("<f", raw[start:start + 4])[0]
behave = config.get("behave", "")
if behave == "crash":
    raise KeyError("the hidden answer")
if behave == "silent":
    sys.exit(0)
if behave == "hang":
    time.sleep(600)
if behave == "slow":
    time.sleep(config["seconds"])
if behave == "refuse":
    print(json.dumps({"nonce": request["nonce"], "error": "no such architecture"}))
    sys.exit(0)
if behave == "says":
    print(config["text"], flush=True)
if behave == "gate":
    while not pathlib.Path(config["gate"]).exists():
        time.sleep(0.01)
count = 20
right = round(min(1.0, max(0.0, share)) * count)
result = {"items": [1] * right + [0] * (count - right), "extra": {"answers": answers, "env": sorted(os.environ)}}
if behave == "wrong":
    result = config["result"]
elif behave != "no nonce":
    result["nonce"] = request["nonce"]
print(json.dumps(result))
"""


def safetensors(tensors, metadata=None):
    """Bytes of a file: name -> (dtype, shape, data)."""
    header, data = {}, b""
    if metadata:
        header["__metadata__"] = metadata
    for name, (dtype, shape, raw) in tensors.items():
        header[name] = {
            "dtype": dtype,
            "shape": shape,
            "data_offsets": [len(data), len(data) + len(raw)],
        }
        data += raw
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def weights(share, seed=0):
    """Tensors of a model whose score is 100 * share."""
    first = np.array([share, 1.0, 2.0], "<f4")
    rest = np.random.default_rng(seed).normal(size=(4, 5)).astype("<f4")
    return {"w": ("F32", [3], first.tobytes()), "v": ("F32", [4, 5], rest.tobytes())}


class World:
    """A run below a folder, with workspace, base model and hidden data.

    Args:
        folder: of the test.
        changes: to the service's `Config`.
        place: changes to where the evaluator runs.
    """

    def __init__(self, folder, place=None, **changes):
        self.folder = folder
        self.root = folder / "run"
        self.workspace = self.root / "workspace"
        self.workspace.mkdir(parents=True)
        for name in ("code", "output", "models/base"):
            (self.workspace / name).mkdir(parents=True)
        self.base = self.write(folder / "base", weights(0.5))
        self.hidden = folder / "hidden"
        self.hidden.mkdir()
        for split in ("public", "private"):
            (self.hidden / f"{split}.json").write_text(f'["the {split} answers"]')
        script = folder / "evaluator.py"
        script.write_text(EVALUATOR)
        where = Place(
            sandbox="none",
            allow_unisolated=True,
            limits=Limits(wall=120.0),
            mounts=(Mount(script, "/run/evaluator.py"),),
        )
        plan = Plan(
            hidden=self.hidden,
            requests={"public": {"task": "stand-in"}, "private": {"task": "stand-in"}},
            command=(sys.executable, "/run/evaluator.py"),
            place=replace(where, **(place or {})),
        )
        settings = {
            "task": "stand-in",
            "base": self.base,
            "base_name": "base",
            "baseline": 50.0,
            "items": ITEMS,
            "started": (time.time(), time.monotonic()),
            "timeout": 1000.0,
            "per_minute": 1000,
            **changes,
        }
        self.config = Config(root=self.root, plan=plan, **settings)

    def service_files(self):
        """Where everything of the run lies."""
        return RunFiles(self.root)

    @staticmethod
    def write(folder, tensors, config=None):
        """Write a model."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text(
            json.dumps({"architecture": "stand-in", **(config or {})})
        )
        (folder / "model.safetensors").write_bytes(safetensors(tensors))
        return folder

    def model(self, name, share, seed=1, **config):
        """Write a model into the workspace's output, and return its path in the workspace."""
        self.write(self.workspace / "output" / name, weights(share, seed), config)
        return f"output/{name}"

    @contextmanager
    def service(self, moment=None):
        """Run the service."""
        with GradingService(self.config, moment) as service:
            yield service

    def ask(self, method, path, body=None, seconds=120.0, headers=None):
        """Return status, answer and headers."""
        connection = http.client.HTTPConnection("grader")
        connection.sock = connect(self.root / "socket", seconds)
        try:
            data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
            connection.request(method, path, data, headers or {})
            response = connection.getresponse()
            return response.status, json.loads(response.read()), response.headers
        finally:
            connection.close()

    def submit(self, path, **more):
        """Submit a path and return status and answer."""
        return self.ask("POST", "/submit", {"model_path": path, **more})[:2]

    def raw(self, data, seconds=60.0):
        """Send bytes as they are, and return what comes back until the service closes."""
        link = connect(self.root / "socket", seconds)
        with link:
            try:
                link.sendall(data)
                received = b""
                while block := link.recv(1 << 16):
                    received += block
            except (BrokenPipeError, ConnectionResetError):
                pass
            return received
