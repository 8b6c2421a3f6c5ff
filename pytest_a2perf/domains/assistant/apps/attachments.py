"""Files that mails and messages carry: in base64, from and to the file system of their world."""

from __future__ import annotations

import base64
import binascii
import posixpath
from collections.abc import Iterable
from typing import Protocol, runtime_checkable

from pytest_a2perf.domains.assistant.apps.app import App, Clock
from pytest_a2perf.domains.assistant.errors import ToolError

__all__ = ["Attaching", "FileStore", "connect"]


@runtime_checkable
class FileStore(Protocol):
    """An app that holds files. Its methods raise `ToolError` for what it does not allow."""

    def exists(self, path: str) -> bool:
        """Return whether there is such a file or folder."""

    def read_bytes(self, path: str) -> bytes:
        """Return what a file holds."""

    def write_bytes(self, path: str, content: bytes) -> None:
        """Make a file, or replace it."""


class Attaching(App):
    """An app that attaches and saves files.

    Attributes:
        files: where they come from and go to, or None; see `connect`.
    """

    def __init__(self, name: str, clock: Clock, *, seed: int = 0, app_class: str = "") -> None:
        super().__init__(name, clock, seed=seed, app_class=app_class)
        self.files: FileStore | None = None

    def attachment(self, path: str) -> tuple[str, str]:
        """Return name and content of a file.

        Raises:
            ToolError: there is no such file, or no file system in this world.
        """
        if self.files is None or not self.files.exists(path):
            raise ToolError(f"there is no file {path!r}")
        return posixpath.basename(path), base64.b64encode(self.files.read_bytes(path)).decode()

    def save(self, folder: str, name: str, content: str) -> str:
        """Write an attachment to a folder, and return its path.

        Raises:
            ToolError: this world has no file system, or what is attached is not base64.
        """
        path = posixpath.join(folder, name)
        if self.files is None:
            raise ToolError(f"cannot save {path!r}: there is no file system")
        try:
            data = base64.b64decode(content)
        except (binascii.Error, ValueError):
            raise ToolError(f"the attachment {name!r} is damaged") from None
        self.files.write_bytes(path, data)
        return path


def connect(apps: Iterable[App]) -> None:
    """Let the apps of a world attach and save files: of the first app that holds any."""
    apps = list(apps)
    store = next((app for app in apps if isinstance(app, FileStore)), None)
    for app in apps:
        if isinstance(app, Attaching):
            app.files = store
