"""Running git as if nobody had ever configured it, with limits on time and output."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path

from pytest_a2perf.errors import InfraError

__all__ = ["EMPTY_TREE", "Git", "GitError"]

EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
_PLAIN = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.attributesFile=/dev/null",
    "core.protectNTFS=false",
    "core.quotePath=false",
    f"attr.tree={EMPTY_TREE}",  # else attributes of what was recorded would change what is shown
    "diff.external=",
    "fastimport.unpackLimit=1000",
    "gc.auto=0",
    "maintenance.auto=false",
)


class GitError(Exception):
    """A command of git failed, or took too long; the message is git's own."""


class Git:
    """Commands on a bare repository.

    No configuration, hook, filter or attribute of the user, of the machine or of what is recorded
    has a say.

    Args:
        folder: the repository.
        seconds: limit of one command.

    Raises:
        InfraError: git is not installed.
    """

    def __init__(self, folder: Path, seconds: float = 60.0) -> None:
        program = shutil.which("git")
        if program is None:
            raise InfraError("git is not installed, and revisions of workspaces need it")
        self._program = program
        self._seconds = seconds
        folder = folder.absolute()  # git runs in it
        self._folder = folder
        self._env = {
            "PATH": os.environ.get("PATH", os.defpath),
            "LC_ALL": "C",
            "HOME": str(folder),
            "GIT_DIR": str(folder),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_SYSTEM": os.devnull,
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_NO_REPLACE_OBJECTS": "1",
        }

    def run(self, arguments: Sequence[str], given: bytes = b"", most: int = 64 << 20) -> bytes:
        """Run a command and return what it writes, at most so many bytes of it.

        Args:
            arguments: after ``git``.
            given: to its stdin.
            most: bytes; it is ended when it has written more.

        Raises:
            GitError: it failed or took too long.
        """
        settings = [word for setting in _PLAIN for word in ("-c", setting)]
        try:
            process = subprocess.Popen(  # noqa: S603 - an argument list
                [self._program, *settings, *arguments],
                cwd=self._folder,
                env=self._env,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,  # Ctrl-C is for the run, which then commits once more
            )
        except OSError as error:
            raise GitError(f"git: {error}") from error
        late = threading.Event()

        def expire() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(self._seconds, expire)
        timer.daemon = True
        timer.start()
        with process:
            # stdin and stderr have threads of their own: a full pipe must not stop the others.
            errors: list[bytes] = []
            helpers = [
                threading.Thread(target=_feed, args=(process, given), daemon=True),
                threading.Thread(target=_drain, args=(process, errors), daemon=True),
            ]
            for helper in helpers:
                helper.start()
            assert process.stdout is not None
            output = process.stdout.read(most + 1)
            full = len(output) > most
            if full:
                process.kill()
            status = process.wait()
            for helper in helpers:
                helper.join(timeout=5)
        timer.cancel()
        if late.is_set():
            raise GitError(f"git {arguments[0]} took more than {self._seconds:g} s")
        if status != 0 and not full:
            told = b"".join(errors).decode(errors="replace").strip()[-500:]
            raise GitError(f"git {arguments[0]}: {told or f'exit status {status}'}")
        return output[:most]


def _feed(process: subprocess.Popen[bytes], given: bytes) -> None:
    assert process.stdin is not None
    try:
        process.stdin.write(given)
        process.stdin.close()
    except (OSError, ValueError):  # it has ended before it read all
        pass


def _drain(process: subprocess.Popen[bytes], errors: list[bytes]) -> None:
    assert process.stderr is not None
    try:
        while part := process.stderr.read(1 << 16):
            if sum(map(len, errors)) < 1 << 16:
                errors.append(part)
    except (OSError, ValueError):
        pass
