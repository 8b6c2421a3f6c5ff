"""What is to run in a sandbox, within which limits, and what it used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Protocol

__all__ = ["Box", "Limits", "Mount", "Probe", "Running", "Sandbox", "Usage"]


@dataclass(frozen=True, slots=True)
class Mount:
    """A file or folder of the host that is seen inside.

    Attributes:
        source: on the host.
        target: absolute path inside.
        writable: whether the inside may change it.
    """

    source: Path
    target: str
    writable: bool = False


@dataclass(frozen=True, slots=True)
class Limits:
    """What a box may use; None: no limit.

    Attributes:
        cpu: CPU seconds of all its processes together.
        memory: bytes of all its processes together.
        processes: at once.
        file: bytes of one file.
        disk: bytes in all that it may write.
        wall: seconds.
    """

    cpu: float | None = None
    memory: int | None = None
    processes: int | None = None
    file: int | None = None
    disk: int | None = None
    wall: float | None = None


@dataclass(frozen=True, slots=True)
class Box:
    """A command and its surroundings.

    Attributes:
        command: argument list; the first is found inside.
        mounts: what is seen besides the system (programs, libraries, Python), which is read-only.
        env: the whole environment.
        folder: working folder, inside.
        limits: see `Limits`.
        network: whether the network of the host is reachable.
        hidden: paths of the host that are never seen, whatever a mount above shows.
        devices: device files that are passed on, such as ``/dev/nvidia0``.
        forward: TCP port of 127.0.0.1 inside -> unix socket inside, for clients without sockets.
    """

    command: Sequence[str]
    mounts: Sequence[Mount] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    folder: str = "/"
    limits: Limits = Limits()
    network: bool = False
    hidden: Sequence[Path] = ()
    devices: Sequence[str] = ()
    forward: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Usage:
    """What a box has used so far.

    Attributes:
        cpu: CPU seconds.
        memory_peak: bytes; NaN where it is not known.
        processes: now.
        exact: whether all processes that ever ran are counted.
    """

    cpu: float
    memory_peak: float
    processes: int
    exact: bool


class Running(Protocol):
    """A box that runs."""

    @property
    def pid(self) -> int: ...  # noqa: D102 - of its first process, on the host

    def wait(self, seconds: float | None = None) -> int | None:
        """Wait for its end; return its exit status (negative: signal), or None if it still runs."""

    def stop(self, grace: float = 5.0) -> None:
        """End all of its processes: SIGTERM, then SIGKILL; none is left, daemons included."""

    def usage(self) -> Usage:
        """Return what it has used; also after its end."""

    @property
    def limit_hit(self) -> str:
        """Which limit ended it: ``cpu``, ``memory``, ``disk``, ``wall``; or empty."""

    @property
    def left(self) -> int:
        """How many processes outlived the command and were ended with it; 0 while it runs."""


class Sandbox(Protocol):
    """A way to run boxes.

    Attributes:
        name: ``docker``, ``podman``, ``bubblewrap``, ``landlock`` or ``none``.
        isolated: whether the inside is kept from the host.
        details: versions and mechanisms, for the record.
    """

    name: str
    isolated: bool
    details: dict[str, str]

    def start(self, box: Box, output: IO[bytes]) -> Running:
        """Start a box whose stdout and stderr go to ``output``.

        Raises:
            InfraError: it cannot be started.
        """


@dataclass(frozen=True, slots=True)
class Probe:
    """Whether a sandbox works here.

    Attributes:
        name: see `Sandbox`.
        works: tried, not guessed.
        why: what is missing, and what to do about it.
    """

    name: str
    works: bool
    why: str = ""
