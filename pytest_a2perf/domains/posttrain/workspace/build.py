"""Build the agent's folder, fresh for each run."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from pytest_a2perf.domains.posttrain.files import RunFiles
from pytest_a2perf.domains.posttrain.grading.copies import write_copy
from pytest_a2perf.domains.posttrain.sandbox.runtime.files import remove_tree
from pytest_a2perf.domains.posttrain.tasks.base import Budget, Materials
from pytest_a2perf.domains.posttrain.workspace.instructions import TIMER, instructions
from pytest_a2perf.domains.posttrain.workspace.names import TOOLKIT, Mode
from pytest_a2perf.domains.posttrain.workspace.withheld import data_seen, stage_data
from pytest_a2perf.errors import InfraError

__all__ = ["HOME", "build_workspace", "toolkit_seen", "write_meta"]

HOME = ".home"
"""The agent's home is in its workspace, so that what agents keep there is recorded and counted."""

_OWN = Path(__file__).parent / "toolkit"
_CODE = shutil.ignore_patterns("__pycache__", "*.pyc")


def build_workspace(
    files: RunFiles,
    materials: Materials,
    *,
    task_name: str,
    budget: Budget,
    expose: Sequence[Path] = (),
    mode: Mode = "free",
    services: Sequence[str] = (),
    mounted: bool = True,
    network: bool = False,
    llm: bool = False,
) -> None:
    """Build workspace, toolkit and data as the agent is to see them.

    Args:
        files: of the run; an older workspace there is removed.
        materials: of the task.
        task_name: for the description's title, if it has none.
        budget: of the agent.
        expose: further files and folders that are copied into the workspace.
        mode: see `Mode`.
        services: of the task, that the agent may call; see `services_offered`.
        network: whether there is one.
        llm: whether language models may be asked through the harness.
        mounted: whether the sandbox mounts base model and data there; else they are links, for
            sandboxes that show the host's paths.

    Raises:
        InfraError: it cannot be built; the message names the file.
    """
    try:
        _build(files, materials, task_name, expose, mode, mounted=mounted)
        text = instructions(
            materials.base_name,
            budget,
            mode,
            toolkit=TOOLKIT if mounted else str(toolkit_seen(files)),
            services=services,
            exposed=[path.name for path in expose],
            network=network,
            llm=llm,
        )
        (files.workspace / "instructions.md").write_text(text, encoding="utf-8")
    except OSError as error:
        raise InfraError(f"the workspace cannot be built: {error}") from error


def toolkit_seen(files: RunFiles) -> Path:
    """Return the folder that is seen as the toolkit."""
    return files.root / "toolkit"


def write_meta(
    files: RunFiles,
    started: float,
    timeout: float | None,
    *,
    last_submission: float | None = None,
    ended: float | None = None,
) -> bool:
    """Write ``run_meta.json`` as upstream has it: a copy for the agent, from which nothing is read.

    Args:
        files: of the run.
        started: Unix time in seconds, as the others are.
        timeout: seconds.
        last_submission: when it was.
        ended: when the run did.

    Returns:
        Whether it was written; the agent may have made that impossible.
    """
    meta = {
        "start_time": started,
        "timeout_s": timeout,
        "last_submit_time": last_submission,
        "end_time": ended,
    }
    return write_copy(files.workspace, "run_meta.json", json.dumps(meta, indent=1) + "\n")


def _build(
    files: RunFiles,
    materials: Materials,
    task_name: str,
    expose: Sequence[Path],
    mode: Mode,
    *,
    mounted: bool,
) -> None:
    workspace = files.workspace
    for folder in (workspace, toolkit_seen(files)):
        remove_tree(folder)
    for name in ("code", "output", "reports", "models", HOME):
        (workspace / name).mkdir(parents=True)
    _make_toolkit(files, materials)
    stage_data(files, materials, mode)
    model, data = workspace / "models" / materials.base_name, workspace / "data"
    if mounted:
        model.mkdir()
        data.mkdir()
    else:
        model.symlink_to(materials.base.absolute())
        data.symlink_to(data_seen(files, materials).absolute())
    for path in expose:
        if path.is_dir():
            shutil.copytree(path, workspace / path.name, ignore=_CODE)
        else:
            shutil.copyfile(path, workspace / path.name)
    text = materials.description
    title = "" if text.lstrip().startswith("#") else f"# {task_name}\n\n"
    (workspace / "description.md").write_text(title + text, encoding="utf-8")
    (workspace / "scores.json").write_text("[]\n", encoding="utf-8")
    timer = workspace / "timer.sh"
    timer.write_text(TIMER, encoding="utf-8")
    timer.chmod(0o755)


def _make_toolkit(files: RunFiles, materials: Materials) -> None:
    toolkit = toolkit_seen(files)
    if materials.toolkit is None:
        toolkit.mkdir(parents=True)
    else:
        shutil.copytree(materials.toolkit, toolkit, ignore=_CODE)
    for path in _OWN.glob("*.py"):
        shutil.copyfile(path, toolkit / path.name)
