"""GPUs as NVML shows them: which of them this process may use, and reading one.

Everything goes through ``pynvml`` of the distribution ``nvidia-ml-py``, which is imported only
where the driver's library exists.
"""

from __future__ import annotations

import ctypes
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

__all__ = ["Device", "device_names", "driver_version", "visible_devices"]

_LIBRARY = "libnvidia-ml.so.1"


@dataclass(eq=False, slots=True)
class Device:
    """One GPU, or one MIG instance of a GPU.

    Attributes:
        handle: NVML's handle; of the instance under MIG.
        board: handle of the whole GPU, which alone has power, clocks and temperature.
        uuid: ``GPU-...`` or ``MIG-...``.
        board_uuid: ``GPU-...``; equals ``uuid`` without MIG.
        name: the product's name.
    """

    handle: Any
    board: Any
    uuid: str
    board_uuid: str
    name: str
    _unsupported: set[str] = field(default_factory=set)

    @property
    def is_instance(self) -> bool:
        """Whether this is a MIG instance, which shares its board with others."""
        return self.uuid != self.board_uuid

    @property
    def memory(self) -> int | None:
        """The device's own memory in bytes, or None where it cannot be read."""
        info = self.read("nvmlDeviceGetMemoryInfo", of_board=False)
        return None if info is None else int(info.total)

    def read(self, function: str, *arguments: int, of_board: bool = True) -> Any | None:
        """Call one of NVML's functions; None where it fails.

        A function that the device or the driver lacks is not called a second time.

        Args:
            function: name in ``pynvml``; its first parameter is the device.
            arguments: further arguments.
            of_board: read the whole GPU rather than the MIG instance.
        """
        nvml = _nvml()
        if nvml is None or function in self._unsupported:
            return None
        try:
            return getattr(nvml, function)(self.board if of_board else self.handle, *arguments)
        except nvml.NVMLError as error:
            if error.value in (nvml.NVML_ERROR_NOT_SUPPORTED, nvml.NVML_ERROR_FUNCTION_NOT_FOUND):
                self._unsupported.add(function)
        except AttributeError:  # a pynvml older than the function
            self._unsupported.add(function)
        return None

    def read_first(self, functions: Sequence[str], *arguments: int) -> Any | None:
        """Return what the first of some functions that works returns; newer names come first."""
        for function in functions:
            value = self.read(function, *arguments)
            if value is not None:
                return value
        return None


@cache
def _nvml() -> Any | None:
    """Return the initialised module, or None; either answer is found once per process.

    A forked child inherits the parent's answer and handles.
    """
    try:
        ctypes.CDLL(_LIBRARY)  # a hundred times cheaper than importing pynvml to the same end
        import pynvml
    except (OSError, ImportError):
        return None
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    return pynvml


@cache
def _boards() -> tuple[Device, ...]:
    """Return all GPUs in PCI-bus order, which is NVML's."""
    nvml = _nvml()
    if nvml is None:
        return ()
    boards = []
    try:
        for index in range(nvml.nvmlDeviceGetCount()):
            handle = nvml.nvmlDeviceGetHandleByIndex(index)
            uuid = str(nvml.nvmlDeviceGetUUID(handle))
            boards.append(Device(handle, handle, uuid, uuid, str(nvml.nvmlDeviceGetName(handle))))
    except nvml.NVMLError:
        pass  # indices behind a lost GPU would be off by one, so the list ends there
    return tuple(boards)


def visible_devices(visible: str | None = None) -> tuple[Device, ...]:
    """Return the GPUs that CUDA shows this process, in CUDA's order.

    Entries are read as CUDA reads them: indices in PCI-bus order, ``GPU-`` and ``MIG-`` UUIDs or
    unique beginnings of them; the first invalid entry ends the list, and a device named twice
    empties it.

    Args:
        visible: the value of ``CUDA_VISIBLE_DEVICES``; None takes it from the environment, where
            unset means all.
    """
    if visible is None:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return _boards() if visible is None else _chosen(visible)


@cache
def _chosen(visible: str) -> tuple[Device, ...]:
    chosen: list[Device] = []
    for entry in visible.split(","):
        device = _resolve(entry.strip())
        if device is None:
            break
        if any(device.uuid == other.uuid for other in chosen):
            return ()
        chosen.append(device)
    return tuple(chosen)


def _resolve(entry: str) -> Device | None:
    if entry.startswith("GPU-"):
        return _by_prefix(entry, _boards())
    if entry.startswith("MIG-"):
        return _by_prefix(entry, _instances())
    index = re.match(r"\+?\d+", entry)  # as strtol: what follows the digits is ignored
    if index is None or int(index[0]) >= len(_boards()):
        return None
    return _boards()[int(index[0])]


def _by_prefix(prefix: str, devices: Sequence[Device]) -> Device | None:
    matching = [device for device in devices if device.uuid.startswith(prefix)]
    return matching[0] if len(matching) == 1 else None


@cache
def _instances() -> tuple[Device, ...]:
    """Return the MIG instances of all GPUs."""
    nvml = _nvml()
    if nvml is None:
        return ()
    instances = []
    for board in _boards():
        for index in range(board.read("nvmlDeviceGetMaxMigDeviceCount") or 0):
            handle = board.read("nvmlDeviceGetMigDeviceHandleByIndex", index)
            if handle is None:  # the numbering of instances has gaps
                continue
            try:
                uuid = str(nvml.nvmlDeviceGetUUID(handle))
                name = str(nvml.nvmlDeviceGetName(handle))
            except nvml.NVMLError:
                continue
            instances.append(Device(handle, board.handle, uuid, board.uuid, name))
    return tuple(instances)


def device_names(visible: str | None = None) -> list[str]:
    """Return the names of the visible GPUs; empty without GPU, driver or library.

    Args:
        visible: see `visible_devices`.
    """
    return [device.name for device in visible_devices(visible)]


def driver_version() -> str | None:
    """Return the version of the NVIDIA driver, or None without one."""
    nvml = _nvml()
    if nvml is None:
        return None
    try:
        return str(nvml.nvmlSystemGetDriverVersion())
    except nvml.NVMLError:
        return None
