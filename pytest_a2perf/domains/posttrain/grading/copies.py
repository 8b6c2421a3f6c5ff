"""Informational copies in the workspace, written without following what the agent planted there."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from pytest_a2perf.processes import write_all

__all__ = ["write_copy"]


def write_copy(workspace: Path, name: str, text: str) -> bool:
    """Write a file at the top of the workspace, whole or not at all.

    A symbolic link of that name is replaced, not followed; a folder of that name, or a workspace
    that is full or gone, is the agent's affair: nothing is ever read from the copy.

    Args:
        workspace: of the agent.
        name: of the file.
        text: its content.

    Returns:
        Whether it was written.
    """
    draft = f".{name}.{secrets.token_hex(8)}"
    try:
        folder = os.open(workspace, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(draft, flags, 0o644, dir_fd=folder)
        try:
            write_all(descriptor, text.encode())
        finally:
            os.close(descriptor)
        os.rename(draft, name, src_dir_fd=folder, dst_dir_fd=folder)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(draft, dir_fd=folder)
        return False
    finally:
        os.close(folder)
    return True
