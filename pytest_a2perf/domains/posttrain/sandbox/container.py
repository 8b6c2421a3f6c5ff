"""Sandboxes by docker or podman, for those who ask for them by name."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO

from pytest_a2perf.domains.posttrain.errors import SandboxError
from pytest_a2perf.domains.posttrain.sandbox import system
from pytest_a2perf.domains.posttrain.sandbox.running import (
    RUNTIME,
    KeptBox,
    Recipe,
    interpreter,
    launch_plan,
    program,
)
from pytest_a2perf.domains.posttrain.sandbox.seccomp import supported, syscalls_filter
from pytest_a2perf.domains.posttrain.sandbox.spec import Box, Mount

__all__ = ["Container"]

IMAGE = "A2PERF_SANDBOX_IMAGE"
"""Variable of the environment that names the image, which must have ``python3`` and whatever the
task needs; it is not fetched."""

_DEFAULT_IMAGE = "python:3.11-slim"
_INSIDE = "/run/box"
_TEMPORARY = 1 << 30
_CLIENT = (
    "PATH",
    "HOME",
    "DOCKER_HOST",
    "DOCKER_CONTEXT",
    "XDG_RUNTIME_DIR",
    "CONTAINER_HOST",
    "CONTAINERS_CONF",
    "CONTAINERS_STORAGE_CONF",
)
"""Of the harness's environment, what the client needs; nothing of it gets inside."""


@dataclass
class Container:
    """Boxes in containers; see `spec.Sandbox`.

    Programs are the image's, not the host's: where a command names this Python, it is the image's
    ``python3`` that runs. CPU seconds are counted (and
    limited) in all only where the daemon runs on this machine; otherwise each process is limited.

    Attributes:
        name: ``docker`` or ``podman``, the client.
        image: see `IMAGE`.
        cpus: how many may be busy at once; None: all.
    """

    name: str
    image: str = field(default_factory=lambda: os.environ.get(IMAGE, _DEFAULT_IMAGE))
    cpus: float | None = None
    isolated: bool = True
    details: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.details = {
            "image": self.image,
            self.name: self._daemon(),
            "limits": "cgroup",
            "filter": "seccomp" if supported() else "the engine's",
        }

    def _daemon(self) -> str:
        """Return the daemon's version, and make sure of the image."""
        if shutil.which(self.name) is None:
            raise SandboxError(f"{self.name} is not installed")
        asked = {"docker": "{{.Server.Version}}", "podman": "{{.Client.Version}}"}
        version = self._ask("version", "--format", asked[self.name])
        if version.returncode != 0 or not version.stdout.strip():
            said = version.stderr.strip().splitlines() or ["no reason given"]
            raise SandboxError(f"{self.name} does not answer: {said[-1]}")
        if self._ask("image", "inspect", self.image).returncode != 0:
            raise SandboxError(
                f"{self.name} has no image {self.image}: pull or build it, or set {IMAGE}"
            )
        return version.stdout.strip()

    def _ask(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(  # noqa: S603
                [self.name, *arguments], capture_output=True, text=True, check=False, timeout=30
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise SandboxError(f"{self.name} does not answer: {error}") from error

    def start(self, box: Box, output: IO[bytes]) -> KeptBox:
        """Start a box whose stdout and stderr go to ``output``.

        Raises:
            SandboxError: it cannot be started.
        """
        import json

        own = interpreter()
        box = replace(box, command=["python3" if word == own else word for word in box.command])
        folder = Path(tempfile.mkdtemp(prefix="a2perf-box-"))
        name = f"a2perf-{uuid.uuid4().hex[:12]}"
        # Descriptors do not pass through a daemon: the plan is a file, and the report a named pipe.
        os.mkfifo(folder / "status", 0o622)
        (folder / "status").chmod(0o622)
        folder.chmod(0o755)
        (folder / "empty").mkdir()
        env = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", **box.env}
        calls = syscalls_filter().hex() if supported() else ""
        plan = launch_plan(box, f"{_INSIDE}/plan/status", env=env, filter=calls)
        (folder / "plan").write_text(json.dumps(plan), encoding="utf-8")
        status = os.open(folder / "status", os.O_RDWR | os.O_NONBLOCK)
        unused = os.open(os.devnull, os.O_WRONLY)  # inside, the pipe is opened by its name
        recipe = Recipe(
            name=self.name,
            argv=list(self.arguments(box, name, folder)),
            env={key: os.environ[key] for key in _CLIENT if key in os.environ},
            skip=0,
            writable=[mount.source for mount in box.mounts if mount.writable],
            remove=[folder],
            inspect=[self.name, "inspect", "--format", "{{.Id}} {{.State.Pid}}", name],
            finally_=[[self.name, "rm", "--force", name]],
            counted=True,
        )
        return KeptBox.start(recipe, box.limits, (status, unused), output)

    def arguments(self, box: Box, name: str, folder: Path) -> Iterator[str]:
        """Return the command that runs a box.

        Args:
            box: what is to run.
            name: of the container.
            folder: with its plan.
        """
        limits = box.limits
        yield from (self.name, "run", "--rm", "--name", name, "--hostname", "box", "--pull=never")
        yield from ("--network", "bridge" if box.network else "none", "--read-only")
        yield from ("--cap-drop", "ALL", "--security-opt", "no-new-privileges")
        yield from ("--user", _owner(box), "--workdir", "/", "--ulimit", "core=0")
        if self.name == "podman":
            yield from _raisable_limits()
            if os.getuid() != 0:
                yield "--userns=keep-id"
        if limits.processes is not None:
            yield f"--pids-limit={limits.processes}"
        if limits.memory is not None:
            yield from (f"--memory={limits.memory}", f"--memory-swap={limits.memory}")
        if self.cpus is not None:
            yield f"--cpus={self.cpus:g}"
        temporary = _TEMPORARY if limits.disk is None else min(_TEMPORARY, limits.disk)
        shared = _TEMPORARY if limits.memory is None else min(_TEMPORARY, limits.memory)
        yield from ("--tmpfs", f"/tmp:rw,nosuid,nodev,exec,mode=1777,size={temporary}")  # noqa: S108
        yield f"--shm-size={shared}"
        own = [Mount(RUNTIME, f"{_INSIDE}/runtime"), Mount(folder, f"{_INSIDE}/plan")]
        for mount in (*own, *box.mounts):
            kind = "" if mount.writable else ",readonly"
            yield from ("--mount", f"type=bind,source={mount.source},target={mount.target}{kind}")
        for path, is_folder in system.shown_hidden(box):
            # Not a tmpfs: podman fills it with what it is to hide.
            source = folder / "empty" if is_folder else os.devnull
            yield from ("--mount", f"type=bind,source={source},target={path},readonly")
        for device in box.devices:
            yield from ("--device", device)
        start = program("launch", f"{_INSIDE}/plan/plan", _INSIDE, python="python3")
        yield from ("--entrypoint", start[0], self.image, *start[1:])


def _raisable_limits() -> Iterator[str]:
    """Return limits that a root without all rights may set, too; podman's own are refused then."""
    for name, most in (("nofile", 1 << 20), ("nproc", 1 << 15)):
        limit = resource.getrlimit(getattr(resource, f"RLIMIT_{name.upper()}"))
        soft, hard = (most if one == resource.RLIM_INFINITY else min(one, most) for one in limit)
        yield f"--ulimit={name}={soft}:{hard}"


def _owner(box: Box) -> str:
    """Return user and group inside: whoever owns what the box may write."""
    for mount in box.mounts:
        if mount.writable:
            about = mount.source.stat()
            return f"{about.st_uid}:{about.st_gid}"
    return "1000:1000"
