"""What PyTorch knows about its GPU memory, where the tested code uses it; never imports it."""

from __future__ import annotations

import sys
from typing import Any

from pytest_a2perf.meters.peaks import PeakWindows

__all__ = ["PEAKS", "cuda", "synchronize"]


def cuda() -> Any | None:
    """Return ``torch.cuda`` if PyTorch is loaded and has initialised CUDA, else None."""
    torch = sys.modules.get("torch")
    module = getattr(torch, "cuda", None)
    try:
        return module if module is not None and module.is_initialized() else None
    except Exception:  # noqa: BLE001 - a half-imported or broken torch is none
        return None


def synchronize() -> None:
    """Wait for the GPU: asynchronous work belongs to the window in which it was launched."""
    module = cuda()
    if module is None:
        return
    try:
        for device in range(module.device_count()):
            module.synchronize(device)
    except Exception:  # noqa: BLE001, S110 - a CUDA error is the work's, which will meet it itself
        pass


def _read() -> float:
    module = cuda()
    if module is None:
        return 0.0
    return float(sum(map(module.max_memory_allocated, range(module.device_count()))))


def _reset() -> None:
    module = cuda()
    if module is not None:
        for device in range(module.device_count()):
            module.reset_peak_memory_stats(device)


PEAKS = PeakWindows(_read, _reset)
"""Windows over the peak of the memory that PyTorch has allocated on all devices, in bytes."""
