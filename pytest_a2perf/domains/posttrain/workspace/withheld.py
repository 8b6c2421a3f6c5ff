"""What a mode withholds: by absence, not by asking the agent nicely."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path

from pytest_a2perf.domains.posttrain.files import RunFiles
from pytest_a2perf.domains.posttrain.tasks.base import Materials
from pytest_a2perf.domains.posttrain.workspace.names import Mode

__all__ = ["WITHHELD", "data_seen", "services_offered", "stage_data", "withheld_from"]

WITHHELD: dict[Mode, tuple[str, ...]] = {
    "free": (),
    "sft": ("rewards*",),
    "rl": ("demonstrations*",),
}
"""Patterns of names at the top of a task's visible folder: what a task calls so is what it is."""


def withheld_from(visible: Path, mode: Mode) -> list[Path]:
    """Return what of the visible files an agent does not get in a mode."""
    return [
        path
        for path in sorted(visible.iterdir())
        if any(fnmatch(path.name, pattern) for pattern in WITHHELD[mode])
    ]


def services_offered(services: Sequence[str], mode: Mode) -> tuple[str, ...]:
    """Return the services that an agent may call: none where it is to learn without rewards."""
    return () if mode == "sft" else tuple(services)


def data_seen(files: RunFiles, materials: Materials) -> Path:
    """Return the folder that is seen as ``data``, after `stage_data`."""
    staged = _staged(files)
    return staged if staged.is_dir() else materials.visible


def stage_data(files: RunFiles, materials: Materials, mode: Mode) -> None:
    """Make a copy of the visible files without what is withheld, if something is.

    Files are hard links where the file system allows it: the agent can only read them.

    Raises:
        OSError: the copy cannot be made.
    """
    staged = _staged(files)
    shutil.rmtree(staged, ignore_errors=True)
    withheld = set(withheld_from(materials.visible, mode))
    if not withheld:
        return
    staged.mkdir(parents=True)
    for path in sorted(materials.visible.iterdir()):
        if path in withheld:
            continue
        if path.is_dir():
            shutil.copytree(path, staged / path.name, copy_function=_link_or_copy)
        else:
            _link_or_copy(path, staged / path.name)


def _staged(files: RunFiles) -> Path:
    return files.root / "data"


def _link_or_copy(source: str | Path, target: str | Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        shutil.copyfile(source, target)
