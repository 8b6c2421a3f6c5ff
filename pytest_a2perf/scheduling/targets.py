"""Whether this process has the hardware that a scenario asks for."""

from __future__ import annotations

from pytest_a2perf.errors import A2PerfError
from pytest_a2perf.meters.energy.nvml import visible_devices
from pytest_a2perf.units import format_value, parse_quantity

__all__ = ["missing_target", "parse_target"]


def parse_target(target: str) -> tuple[str, float]:
    """Split ``"H100, 40 GB"`` into a device and a minimum of memory in bytes.

    Raises:
        A2PerfError: the part behind the comma is no amount of memory.
    """
    device, comma, amount = (part.strip() for part in target.partition(","))
    if not comma:
        return device, 0.0
    try:
        least, unit = parse_quantity(amount)
    except A2PerfError:
        unit = ""
    if unit != "B" or device == "cpu":
        raise A2PerfError(
            f"expected a target such as 'cuda', 'H100' or 'cuda, 40 GB', got {target!r}"
        )
    return device, least


def missing_target(target: str) -> str | None:
    """Return why a target cannot be met here, or None if it can.

    Args:
        target: ``cpu``, ``cuda`` for any NVIDIA device, or a part of a device's name, perhaps with
            a minimum of device memory, as in ``"cuda, 40 GB"``.
    """
    if target in ("cpu", "any"):
        return None
    device, least = parse_target(target)
    devices = visible_devices()
    if device == "cuda" and not devices:
        return "target 'cuda': no NVIDIA device is visible here"
    if device != "cuda":
        devices = tuple(one for one in devices if device.lower() in one.name.lower())
    if not devices:
        found = ", ".join(one.name for one in visible_devices()) or "no NVIDIA device"
        return f"target {target!r} is not here: found {found}"
    most = max(one.memory or 0 for one in devices)
    if most < least:
        return f"target {target!r} is not here: the largest device has {format_value(most, 'B')}"
    return None
