"""The sessions of a workload as an endpoint takes them, shared by the agents of a process."""

from __future__ import annotations

from collections import OrderedDict
from weakref import WeakValueDictionary

from pytest_a2perf.domains.serving.client.body import Script
from pytest_a2perf.domains.serving.client.endpoint import Endpoint
from pytest_a2perf.domains.serving.client.idle import Idle
from pytest_a2perf.domains.serving.errors import TrajectoryError
from pytest_a2perf.domains.serving.trajectories.store import SessionFile

__all__ = ["Scripts"]

_KEPT = 32 << 20
"""Characters of sessions that are kept for the next agent; those in use come on top."""


class Scripts:
    """Sessions of a file, read when they are needed, or shortly before.

    Args:
        path: of a workload in the internal form.
        endpoint: that the sessions are for.
        idle: where they are read ahead.

    Raises:
        TrajectoryError: the file cannot be read, or holds no session.
    """

    def __init__(self, path: str, endpoint: Endpoint, idle: Idle) -> None:
        try:
            self._file = SessionFile(path)
        except OSError as error:
            raise TrajectoryError(f"{path}: {error.strerror}") from error
        if not len(self._file):
            raise TrajectoryError(f"{path}: there is no session in it")
        self._endpoint = endpoint
        self._idle = idle
        self._used: WeakValueDictionary[int, Script] = WeakValueDictionary()
        self._kept: OrderedDict[int, Script] = OrderedDict()
        self._size = 0

    def __len__(self) -> int:
        return len(self._file)

    def __getitem__(self, number: int) -> Script:
        """Return a session.

        Raises:
            TrajectoryError: its line cannot be read.
        """
        script = self._used.get(number)
        if script is None:
            script = self._used[number] = Script(self._endpoint, self._file[number])
        if number in self._kept:
            self._kept.move_to_end(number)
        else:
            self._kept[number] = script
            self._size += script.size
        while self._size > _KEPT and len(self._kept) > 1:
            self._size -= self._kept.popitem(last=False)[1].size
        return script

    def prefetch(self, number: int) -> None:
        """Have a session read when there is time."""
        if number not in self._used:
            self._idle.add(lambda: self[number] is not None)
