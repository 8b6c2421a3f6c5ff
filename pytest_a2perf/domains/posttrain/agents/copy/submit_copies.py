# ruff: noqa: INP001, T201
"""A control: hand in the base model, untrained, in several disguises."""

from __future__ import annotations

import json
import os
import shutil
import struct
from pathlib import Path
from typing import Any

import grader  # type: ignore[import-not-found]  # in the box

BASE, OUTPUT = Path(os.environ["MODEL_PATH"]), Path(os.environ["OUTPUT_DIR"])


def main() -> None:
    """Submit the base model where it lies, copied, and saved again."""
    copied, saved = OUTPUT / "copy", OUTPUT / "saved_again"
    shutil.copytree(BASE, copied, dirs_exist_ok=True)
    shutil.copytree(BASE, saved, dirs_exist_ok=True)
    for path in saved.glob("*.safetensors"):
        save_again(path)
    for path in (BASE, copied, saved):
        try:
            answer = grader.submit(path)
            print(path.name, answer.get("score"), answer.get("error", ""), flush=True)
        except grader.GraderError as error:
            print(path.name, "refused:", error, flush=True)


def save_again(path: Path) -> None:
    """Write the same tensors in another order, so that the file's bytes are others."""
    data = path.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    header, body = json.loads(data[8 : 8 + size]), data[8 + size :]
    header.pop("__metadata__", None)
    new: dict[str, Any] = {"__metadata__": {"format": "pt", "note": "trained"}}
    parts, offset = [], 0
    for name in sorted(header, reverse=True):
        start, end = header[name]["data_offsets"]
        new[name] = {**header[name], "data_offsets": [offset, offset + end - start]}
        parts.append(body[start:end])
        offset += end - start
    text = json.dumps(new).encode()
    text += b" " * (-len(text) % 8)
    path.unlink()  # a copy of a read-only file cannot be written to
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(parts))


if __name__ == "__main__":
    main()
