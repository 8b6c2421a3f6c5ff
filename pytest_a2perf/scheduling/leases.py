"""GPU leases: which worker sees which device, decided before the workers start.

The device is set in the environment of the worker's process, so it holds from before
``conftest.py`` is imported, and a worker that replaces a dead one inherits it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from pytest_a2perf.meters.energy.nvml import visible_devices
from pytest_a2perf.settings import resolve_options

__all__ = ["CUDA", "HIP", "LEASE", "Lease", "leases", "number_of_workers", "visible_gpus"]

CUDA = "CUDA_VISIBLE_DEVICES"
HIP = "HIP_VISIBLE_DEVICES"
ROCR = "ROCR_VISIBLE_DEVICES"
LEASE = "A2PERF_LEASE"
_KFD = Path("/sys/class/kfd/kfd/topology/nodes")


@dataclass(frozen=True, slots=True)
class Lease:
    """What one worker may see.

    Attributes:
        variable: of the environment, ``CUDA_VISIBLE_DEVICES`` or AMD's ``HIP_VISIBLE_DEVICES``.
        device: its value: one device, or empty for none.
    """

    variable: str
    device: str


def visible_gpus(environ: Mapping[str, str] | None = None, kfd: Path = _KFD) -> list[Lease]:
    """Return a lease for each GPU that the caller may use, in the caller's order.

    What the caller wrote into ``CUDA_VISIBLE_DEVICES`` (indices, UUIDs, MIG instances) is kept as
    it is; without it, UUIDs are used, which mean the same device to CUDA and to NVML. AMD's
    devices are looked for where there is none of NVIDIA's.

    Args:
        environ: the environment; default: this process's.
        kfd: where Linux lists AMD's devices.
    """
    environ = os.environ if environ is None else environ
    given = environ.get(CUDA)
    devices = visible_devices(given)
    if devices:
        entries = [device.uuid for device in devices] if given is None else given.split(",")
        # CUDA ends the list at the first entry that is no device.
        return [Lease(CUDA, entry.strip()) for entry in entries[: len(devices)]]
    given = environ.get(HIP)
    if given is not None:
        return [Lease(HIP, entry.strip()) for entry in given.split(",") if entry.strip()]
    # ROCR's list comes first; HIP's indices count within it.
    given = environ.get(ROCR)
    count = _amd_devices(kfd) if given is None else len([e for e in given.split(",") if e.strip()])
    return [Lease(HIP, str(index)) for index in range(count)]


def leases(workers: int, per_gpu: int = 1, gpus: list[Lease] | None = None) -> list[Lease | None]:
    """Return the lease of each worker; those beyond the GPUs see none of them.

    Args:
        workers: how many there are.
        per_gpu: how many share a GPU.
        gpus: default: `visible_gpus`. Without any, nobody gets a lease.
    """
    gpus = visible_gpus() if gpus is None else gpus
    if not gpus:
        return [None] * workers
    shared = [gpu for _ in range(per_gpu) for gpu in gpus]
    without = [Lease(gpus[0].variable, "")] * max(0, workers - len(shared))
    return [*shared[:workers], *without]


def number_of_workers(config: pytest.Config) -> int | None:
    """Count the workers of ``-n auto``, which uses every GPU, and ``-n gpu``, nothing else.

    Returns:
        None where xdist's own count will do.

    Raises:
        pytest.UsageError: ``-n gpu`` without any GPU.
    """
    gpus = len(visible_gpus()) * resolve_options(config).workers_per_gpu
    if config.option.numprocesses == "gpu":
        if gpus == 0:
            raise pytest.UsageError(
                "-n gpu: no GPU is visible here; -n auto takes a worker for each processor core"
            )
        return gpus
    if gpus == 0:
        return None
    from xdist.plugin import pytest_xdist_auto_num_workers

    return max(gpus, int(pytest_xdist_auto_num_workers(config)))


def _amd_devices(kfd: Path) -> int:
    """Count the nodes of the kernel's topology that compute: CPUs have no SIMD units."""
    count = 0
    for properties in kfd.glob("*/properties"):
        try:
            lines = properties.read_text(encoding="ascii").splitlines()
        except (OSError, UnicodeDecodeError):
            continue
        fields = dict(line.split(None, 1) for line in lines if " " in line)
        count += int(fields.get("simd_count", "0")) > 0
    return count
