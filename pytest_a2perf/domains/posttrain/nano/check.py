"""Whether a folder holds a model that can be submitted: ``python -m nano.check FOLDER [BASE]``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from .io import load, read_config
from .model import ModelError

__all__ = ["check", "main"]


def check(folder: str | Path, base: str | Path | None = None) -> list[str]:
    """Return what is wrong with a model, in words; nothing if it can be submitted.

    Args:
        folder: of the model.
        base: folder of the base model, whose shape it must have and whose weights it must not.
    """
    try:
        like = None if base is None else read_config(base)
        weights = load(folder, like).state_dict()
        same = base is not None and all(
            torch.equal(weight, weights[name]) for name, weight in load(base).state_dict().items()
        )
    except (ModelError, OSError) as error:
        return [str(error)]
    return [f"{folder}: this is the base model: its weights are unchanged"] if same else []


def main(arguments: Sequence[str] | None = None) -> int:
    """Say what is wrong; return 0 if nothing is."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if not 1 <= len(arguments) <= 2:
        sys.stderr.write("usage: python -m nano.check FOLDER [BASE]\n")
        return 2
    problems = check(*arguments)
    sys.stdout.write("".join(f"{problem}\n" for problem in problems) or "can be submitted\n")
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
