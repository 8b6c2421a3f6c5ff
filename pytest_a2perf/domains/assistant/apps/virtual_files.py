"""The file system in memory."""

from __future__ import annotations

from typing import IO, Any

from pytest_a2perf.domains.assistant.apps.app import tool
from pytest_a2perf.domains.assistant.apps.file_system import FileSystem
from pytest_a2perf.domains.assistant.apps.store import MemoryStore

__all__ = ["VirtualFileSystem"]


class VirtualFileSystem(FileSystem):
    """Files in memory."""

    classes = ("VirtualFileSystem",)

    def _make_store(self, now: float) -> MemoryStore:
        return MemoryStore(now)

    @tool("agent", write=True)
    def open(self, path: str, mode: str = "rb") -> IO[Any]:
        """Open a file; with mode "w" also make it, empty. To read it, use cat.

        Args:
            path: of the file.
            mode: "r" or "rb" to read, "w" or "wb" to make or empty it, "a" or "ab" to append.

        Returns:
            The open file.
        """
        return self._open(path, mode)

    @tool("agent")
    def cat(self, path: str) -> bytes:
        """Read a file.

        Args:
            path: of the file.

        Returns:
            What the file holds, as bytes.
        """
        return self.read_bytes(path)

    @tool("agent", write=True)
    def mkdir(self, path: str, create_recursive: bool = True) -> None:
        """Make a directory. It must not exist yet.

        Args:
            path: of the directory.
            create_recursive: whether to make the directories above it too, if they are missing.
        """
        self._mkdir(path, create_recursive)

    @tool("agent", write=True)
    def mv(self, path1: str, path2: str) -> None:
        """Move or rename a file or a directory, with all that is in it.

        Args:
            path1: what to move.
            path2: its new path, or the directory to move it into.
        """
        self._mv(path1, path2)

    @tool("agent")
    def ls(self, path: str = ".", detail: bool = False) -> list[str | dict[str, Any]]:
        """List what is in a directory.

        Args:
            path: of the directory; ".": the root.
            detail: whether to tell sizes and times too.

        Returns:
            Paths; with detail, a dictionary for each.
        """
        return self._ls(path, detail)

    @tool("agent", write=True)
    def rm(self, path: str, recursive: bool = False) -> None:
        """Remove a file, or a directory with all that is in it.

        Args:
            path: what to remove.
            recursive: needed to remove a directory.
        """
        self._rm(path, recursive)

    @tool("agent", write=True)
    def rmdir(self, path: str) -> None:
        """Remove an empty directory.

        Args:
            path: of the directory.
        """
        self._rmdir(path)

    @tool("agent")
    def exists(self, path: str) -> bool:
        """Tell whether there is a file or directory.

        Args:
            path: of the file or directory.

        Returns:
            Whether it exists.
        """
        return self._exists(path)

    @tool("agent")
    def info(self, path: str) -> dict[str, Any]:
        """Tell size, type and time of a file or directory.

        Args:
            path: of the file or directory.

        Returns:
            A dictionary with "name", "size" in bytes, "type" ("file" or "directory"), "mtime" and
            others.
        """
        return self._info(path)

    @tool("agent")
    def tree(self, path: str = ".") -> str:
        """Draw a directory with all that is in it, and in its directories.

        Args:
            path: of the directory; ".": the root.

        Returns:
            A line for each file and directory, indented by their depth.
        """
        return self._tree(path)
