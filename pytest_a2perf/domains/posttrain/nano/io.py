"""Models on disk: ``config.json`` and ``model.safetensors``; nothing is ever unpickled."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load as tensors_of
from safetensors.torch import save_file

from .model import Config, ModelError, NanoLM

__all__ = ["ARCHITECTURE", "load", "read_config", "save"]

ARCHITECTURE = "nano-lm"
"""What ``config.json`` says, so that nobody takes the model for another kind."""

_CONFIG = 1 << 16  # bytes
_WEIGHTS = 1 << 28


def save(model: NanoLM, folder: str | Path) -> None:
    """Write a model.

    Args:
        model: to write.
        folder: is made if it does not exist.

    Raises:
        OSError: it cannot be written.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    data = {"architecture": ARCHITECTURE, **model.config.to_json()}
    (folder / "config.json").write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    weights = {name: weight.contiguous() for name, weight in model.state_dict().items()}
    save_file(weights, folder / "model.safetensors")


def read_config(folder: str | Path) -> Config:
    """Read what shape a model has.

    Raises:
        ModelError: it is no model of this kind.
        OSError: it cannot be read.
    """
    path = Path(folder) / "config.json"
    if not path.is_file():
        raise ModelError(f"{path}: there is no such file; write models with nano.io.save")
    if path.stat().st_size > _CONFIG:
        raise ModelError(f"{path}: is too large")
    try:
        data = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path}: is not JSON: {error}") from None
    if not isinstance(data, dict) or data.pop("architecture", None) != ARCHITECTURE:
        raise ModelError(f"{path}: architecture must be {ARCHITECTURE!r}")
    try:
        return Config.from_json(data)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from None


def load(folder: str | Path, like: Config | None = None) -> NanoLM:
    """Read a model.

    Args:
        folder: what `save` has written.
        like: what its config must be.

    Raises:
        ModelError: it is no model of this kind, of another shape, or has weights that are no
            finite numbers.
        OSError: it cannot be read.
    """
    config = read_config(folder)
    if like is not None and config != like:
        raise ModelError(f"config.json must be that of the base model: {like.to_json()}")
    path = Path(folder) / "model.safetensors"
    if not path.is_file() or path.stat().st_size > _WEIGHTS:
        raise ModelError(f"{path}: there is no such file, or it is too large")
    try:
        weights = tensors_of(path.read_bytes())  # not mapped: the file may be written to later
    except (SafetensorError, ValueError) as error:
        raise ModelError(f"{path}: is no safetensors file: {error}") from None
    with torch.device("meta"):
        wanted = NanoLM(config).state_dict()
    if set(weights) != set(wanted):
        odd = sorted(set(weights) ^ set(wanted))[:3]
        raise ModelError(f"{path}: tensors are missing or too many: {', '.join(odd)}")
    for name, weight in weights.items():
        if weight.dtype != torch.float32 or weight.shape != wanted[name].shape:
            raise ModelError(f"{path}: {name} must be float32 of {tuple(wanted[name].shape)}")
        if not bool(torch.isfinite(weight).all()):
            raise ModelError(f"{path}: {name} has values that are no finite numbers")
    model = NanoLM(config)
    model.load_state_dict(weights)
    return model
