"""An xdist worker inside a Ray actor, which holds the worker's CPUs and GPU.

Each worker is a Ray job of its own: when its launcher ends, Ray ends the actor and, with it, the
worker's process. No ports are opened; the bytes travel as calls of the actor's methods.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from pytest_a2perf.errors import A2PerfError
from pytest_a2perf.processes import die_with_parent, write_all

__all__ = ["RayWorker"]

_CHUNK = 1 << 16
_CONNECT = 5.0  # seconds
_EXCLUDED = [".git", ".a2perf", ".venv", "venv", "**/__pycache__", ".mypy_cache", ".pytest_cache"]


class _Process:
    """The actor: a worker's process and its pipes."""

    def start(self) -> None:
        """Start the worker in the shipped working tree."""
        self._process = subprocess.Popen(
            [sys.executable, "-u", "-m", "pytest_a2perf.scheduling.prelude"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            preexec_fn=die_with_parent,  # noqa: PLW1509 - Ray's threads hold no locks of ours
        )

    def read(self) -> bytes:
        """Return what the worker writes next; empty at its end."""
        assert self._process.stdout is not None
        return os.read(self._process.stdout.fileno(), _CHUNK)

    def write(self, data: bytes) -> None:
        """Write to the worker."""
        assert self._process.stdin is not None
        write_all(self._process.stdin.fileno(), data)

    def close(self) -> None:
        """Close the worker's stdin and wait a moment for its end."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()


class RayWorker:
    """The launcher's end of a worker in a Ray cluster; see `Link`.

    Args:
        cluster: ``ray`` for the cluster of this machine, or ``ray://host:port``.
        cpus: that the worker holds.
        gpus: that the worker holds; Ray shows it no others.
        timeout: seconds to wait for them.

    Raises:
        A2PerfError: no cluster, or nothing free in it.
    """

    def __init__(self, cluster: str, cpus: float, gpus: float, timeout: float) -> None:
        try:
            import ray
        except ImportError:
            raise A2PerfError("it needs the extra: pip install 'pytest-a2perf[ray]'") from None
        self._ray: Any = ray
        self._words = ""
        address = (os.environ.get("RAY_ADDRESS") or "auto") if cluster == "ray" else cluster
        if ":" in address:
            _check_reachable(address.rpartition("//")[2])
        try:
            ray.init(
                address=address,
                log_to_driver=False,
                logging_level=logging.ERROR,
                runtime_env={"working_dir": str(Path.cwd()), "excludes": _EXCLUDED},
            )
        except (ConnectionError, RuntimeError, ValueError, OSError) as error:
            raise A2PerfError(f"no connection: {error}") from None
        actor: Any = ray.remote(_Process)
        # Reading blocks a thread of the actor while writing needs another.
        self._actor = actor.options(num_cpus=cpus, num_gpus=gpus, max_concurrency=4).remote()
        try:
            ray.get(self._actor.start.remote(), timeout=timeout)
        except ray.exceptions.GetTimeoutError:
            free = ", ".join(f"{key} {value:g}" for key, value in _free(ray).items()) or "nothing"
            raise A2PerfError(
                f"no node had {cpus:g} CPU and {gpus:g} GPU free within {timeout:g} s; free: {free}"
            ) from None
        except ray.exceptions.RayError as error:
            raise A2PerfError(f"the worker could not be started: {error}") from None

    def read(self) -> bytes:
        """See `Link`."""
        return bytes(self._call(self._actor.read))

    def write(self, data: bytes) -> None:
        """See `Link`."""
        self._call(self._actor.write, data)

    def close(self) -> None:
        """See `Link`."""
        with contextlib.suppress(OSError):
            self._call(self._actor.close)
        self.kill()

    def kill(self) -> None:
        """See `Link`."""
        with contextlib.suppress(Exception):
            self._ray.kill(self._actor)

    def last_words(self) -> str:
        """See `Link`."""
        return self._words

    def _call(self, method: Any, *arguments: bytes) -> Any:
        """Call a method of the actor.

        Raises:
            OSError: the actor is gone.
        """
        try:
            return self._ray.get(method.remote(*arguments))
        except self._ray.exceptions.RayError as error:
            self._words = f"its actor is gone: {error}"
            raise OSError(self._words) from None


def _check_reachable(address: str) -> None:
    host, _, port = address.partition(":")
    try:
        socket.create_connection((host, int(port or 10001)), _CONNECT).close()
    except (OSError, ValueError) as error:
        raise A2PerfError(f"{address} cannot be reached: {error}") from None


def _free(ray: Any) -> dict[str, float]:
    resources: dict[str, float] = ray.available_resources()
    return {key: resources[key] for key in ("CPU", "GPU") if key in resources}
