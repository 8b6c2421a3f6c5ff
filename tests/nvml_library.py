"""Builds the stand-in for NVIDIA's driver library and runs Python code against it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

_SOURCE = Path(__file__).parent / "nvml_stand_in" / "nvml.c"
_ROOT = Path(__file__).parent.parent

H100 = {
    "name": "NVIDIA H100 80GB HBM3",
    "uuid": "GPU-11111111-aaaa-bbbb-cccc-000000000001",
    "watts": 300,
    "utilization": 80,
    "sm_clock": 1980,
    "memory_clock": 2619,
    "temperature": 55,
    "memory_total": 80 * 10**9,
    "memory_used": 5 * 10**9,
    "reasons": "0x1",
}
L4 = {
    **H100,
    "name": "NVIDIA L4",
    "uuid": "GPU-22222222-aaaa-bbbb-cccc-000000000002",
    "watts": 60,
    "utilization": 40,
    "temperature": 70,
    "memory_used": 10**9,
}


def build(folder: Path) -> Path:
    """Compile the stand-in and return its path; skips the test where there is no compiler."""
    library = folder / "libnvidia-ml.so.1"
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler")
    if not library.exists():
        command = [compiler, "-shared", "-fPIC", "-O1", "-Wall", "-o", library, _SOURCE]
        subprocess.run(command, check=True, capture_output=True)
    return library


def describe(*devices: dict[str, Any], driver: str = "550.54.15", **settings: Any) -> str:
    """Return the configuration of some devices; a list as value repeats its key."""
    lines = [f"driver {driver}", *(f"{key} {value}" for key, value in settings.items())]
    for device in devices:
        lines.append("device")
        for key, value in device.items():
            values = value if isinstance(value, list) else [value]
            lines += [f"{key} {one}" for one in values]
    return "\n".join(lines) + "\n"


def run_with(
    library: Path, folder: Path, configuration: str, code: str, visible: str | None = None
) -> Any:
    """Run code in a process that has these GPUs; return what it passes to ``answer``."""
    path = folder / "gpus.txt"
    path.write_text(configuration)
    environment = {**os.environ, "LD_LIBRARY_PATH": str(library.parent)}
    environment |= {"NVML_STAND_IN": str(path), "PYTHONPATH": str(_ROOT)}
    environment.pop("CUDA_VISIBLE_DEVICES", None)
    if visible is not None:
        environment["CUDA_VISIBLE_DEVICES"] = visible
    prelude = "import json\ndef answer(value): print('ANSWER' + json.dumps(value))\n"
    result = subprocess.run(
        [sys.executable, "-c", prelude + code],
        check=False, env=environment, cwd=folder, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    return json.loads(result.stdout.partition("ANSWER")[2])
