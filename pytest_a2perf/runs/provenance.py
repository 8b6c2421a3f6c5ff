"""Where a run's numbers come from: versions, hardware, driver, git state, configuration."""

from __future__ import annotations

import os
import platform
import socket
import subprocess
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from pytest_a2perf.meters.energy.nvml import device_names, driver_version

__all__ = ["provenance"]

_PACKAGES = (
    "pytest", "pytest-a2perf", "pytest-benchmark", "pytest-xdist", "gymnasium", "numpy", "scipy",
    "codecarbon", "mujoco", "torch", "stable-baselines3", "onnxruntime", "litellm",
)  # fmt: skip


def provenance(root: Path) -> dict[str, Any]:
    """Collect it; a few milliseconds and one ``git`` call."""
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "host": socket.gethostname(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: version for name in _PACKAGES if (version := _version(name))},
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "memory": _memory(),
        "gpus": device_names(),
        "gpu_driver": driver_version(),
        "git": _git(root),
        "ci": next(
            (name for name in ("GITHUB_ACTIONS", "GITLAB_CI", "CI") if os.getenv(name)), None
        ),
        "arguments": sys.argv[1:],
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _cpu_name() -> str:
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _memory() -> int | None:
    """Return the machine's memory in bytes."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return None


def _git(root: Path) -> dict[str, Any] | None:
    """Return commit, branch and whether the working tree differs, or None outside of git."""
    command = ["git", "-C", str(root), "status", "--porcelain=v2", "--branch", "-uno"]
    try:
        text = subprocess.run(  # noqa: S603 - fixed arguments
            command, capture_output=True, text=True, timeout=10, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    lines = text.splitlines()
    fields = {line.split()[1]: line.split()[2] for line in lines if line.startswith("# branch.")}
    return {
        "commit": fields.get("branch.oid"),
        "branch": fields.get("branch.head"),
        "dirty": any(not line.startswith("#") for line in lines),
    }
