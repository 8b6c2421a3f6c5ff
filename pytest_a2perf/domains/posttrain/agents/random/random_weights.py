# ruff: noqa: INP001, T201
"""A control: hand in models whose weights were never trained."""

from __future__ import annotations

import json
import os
import shutil
import struct
from pathlib import Path
from typing import BinaryIO

import grader  # type: ignore[import-not-found]  # in the box
import numpy as np

BASE, OUTPUT = Path(os.environ["MODEL_PATH"]), Path(os.environ["OUTPUT_DIR"])
SCALE = 0.02
CHUNK = 1 << 22


def main() -> None:
    """Submit two random models."""
    for number in (1, 2):
        seed = 2 * int(os.environ.get("SEED", "0")) + number
        folder = OUTPUT / f"random{number}"
        shutil.copytree(BASE, folder, dirs_exist_ok=True)
        for path in sorted(folder.glob("*.safetensors")):
            randomise(path, np.random.default_rng(seed))
        try:
            answer = grader.submit(folder)
            print(folder.name, answer.get("score"), answer.get("error", ""), flush=True)
        except grader.GraderError as error:
            print(folder.name, "refused:", error, flush=True)


def randomise(path: Path, rng: np.random.Generator) -> None:
    """Replace all floating-point tensors of a file by noise; integers stay."""
    with path.open("rb") as old:
        size = struct.unpack("<Q", old.read(8))[0]
        header = json.loads(old.read(size))
        part = path.with_suffix(".part")
        with part.open("wb") as new:
            new.write(struct.pack("<Q", size))
            old.seek(8)
            new.write(old.read(size))
            entries = [entry for name, entry in header.items() if name != "__metadata__"]
            for entry in sorted(entries, key=lambda entry: entry["data_offsets"]):
                start, end = entry["data_offsets"]
                old.seek(8 + size + start)
                write_noise(new, entry["dtype"], end - start, rng, old)
    part.replace(path)


def write_noise(
    new: BinaryIO, kind: str, size: int, rng: np.random.Generator, old: BinaryIO
) -> None:
    """Write a tensor of so many bytes."""
    width = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}.get(kind)
    if width is None:
        new.write(old.read(size))
        return
    for start in range(0, size // width, CHUNK):
        count = min(CHUNK, size // width - start)
        noise = SCALE * rng.standard_normal(count, dtype=np.float32)
        if kind == "BF16":  # the upper half of a float32
            new.write((noise.view(np.uint32) >> 16).astype("<u2").tobytes())
        else:
            new.write(noise.astype({8: "<f8", 4: "<f4", 2: "<f2"}[width]).tobytes())


if __name__ == "__main__":
    main()
