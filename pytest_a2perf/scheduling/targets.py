"""Whether this process has the hardware that a scenario asks for."""

from __future__ import annotations

from pytest_a2perf.meters.energy.nvml import device_names

__all__ = ["missing_target"]


def missing_target(target: str) -> str | None:
    """Return why a target cannot be met here, or None if it can.

    Args:
        target: ``cpu``, ``cuda`` for any NVIDIA device, or a part of a device's name.
    """
    if target == "cpu":
        return None
    names = device_names()
    if target == "cuda":
        return None if names else "target 'cuda': no NVIDIA device is visible here"
    if any(target.lower() in name.lower() for name in names):
        return None
    found = ", ".join(names) or "no NVIDIA device"
    return f"target {target!r} is not here: found {found}"
