"""Make a task's materials: ``python -m ...tasks.nano_make TASK OPTIONS_AS_JSON FOLDER``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from pytest_a2perf.domains.posttrain.tasks.nano_task import NanoTask, make
from pytest_a2perf.domains.posttrain.tasks.registry import get_task

__all__ = ["main"]


def main(name: str, options: str, folder: str) -> None:
    """Make them, with one thread: sums come out the same whatever the machine has."""
    import torch

    torch.set_num_threads(1)
    task = get_task(name, json.loads(options))
    assert isinstance(task, NanoTask)
    make(task, Path(folder))


if __name__ == "__main__":
    main(*sys.argv[1:])
