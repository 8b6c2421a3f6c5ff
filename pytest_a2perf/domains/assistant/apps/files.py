"""The file system in a real folder."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from pathlib import Path
from typing import IO, Any

from pytest_a2perf.domains.assistant.apps.app import Clock, tool
from pytest_a2perf.domains.assistant.apps.file_system import FileSystem
from pytest_a2perf.domains.assistant.apps.folder import FolderStore
from pytest_a2perf.domains.assistant.errors import ToolError

__all__ = ["Files"]


class Files(FileSystem):
    """Files in a folder of their own.

    Args:
        files: folder to make it in: the trial's, with which it is removed. None: that of the
            system for temporary files, and it is removed with the app.
    """

    classes = ("SandboxLocalFileSystem", "Files")

    def __init__(
        self,
        name: str,
        clock: Clock,
        *,
        seed: int = 0,
        app_class: str = "",
        files: Path | None = None,
    ) -> None:
        super().__init__(name, clock, seed=seed, app_class=app_class)
        self._files = files

    def _make_store(self, now: float) -> FolderStore:
        if self._files is not None:
            self._files.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix="a2perf-files-", dir=self._files))
        if self._files is None:
            weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        return FolderStore(folder, now)

    @tool("agent", write=True)
    def open(
        self,
        path: str,
        mode: str = "rb",
        block_size: int | None = None,  # noqa: ARG002 - a hint
        cache_options: dict[str, Any] | None = None,  # noqa: ARG002 - a hint
        compression: str | None = None,
    ) -> IO[Any]:
        """Open a file; with mode "w" also make it, empty. To read it, use cat or read_document.

        Args:
            path: of the file.
            mode: "r" or "rb" to read, "w" or "wb" to make or empty it, "a" or "ab" to append.
            block_size: not used.
            cache_options: not used.
            compression: None, others are not supported.

        Returns:
            The open file.
        """
        if compression is not None:
            raise ToolError(f"compression {compression!r} is not supported")
        return self._open(path, mode)

    @tool("agent")
    def cat(
        self,
        path: str,
        recursive: bool = False,  # noqa: ARG002 - as in ARE, a directory cannot be read at all
        on_error: str = "raise",  # noqa: ARG002 - nor is an error of the only path passed over
    ) -> str | bytes:
        """Read a file, as it is. Of documents, read_document tells the text.

        Args:
            path: of the file.
            recursive: not used.
            on_error: not used.

        Returns:
            What the file holds, as bytes.
        """
        return self.read_bytes(path)

    @tool("agent", write=True)
    def mkdir(self, path: str, create_parents: bool = True) -> None:
        """Make a directory. It must not exist yet.

        Args:
            path: of the directory.
            create_parents: whether to make the directories above it too, if they are missing.
        """
        self._mkdir(path, create_parents)

    @tool("agent", write=True)
    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        """Make a directory, and the directories above it if they are missing.

        Args:
            path: of the directory.
            exist_ok: whether it may exist already.
        """
        self._makedirs(path, exist_ok)

    @tool("agent", write=True)
    def mv(
        self,
        path1: str,
        path2: str,
        recursive: bool = False,  # noqa: ARG002 - as in ARE, directories are moved either way
        maxdepth: int | None = None,  # noqa: ARG002 - as in ARE, with all that is in them
    ) -> None:
        """Move or rename a file or a directory, with all that is in it.

        Args:
            path1: what to move.
            path2: its new path, or the directory to move it into.
            recursive: not used.
            maxdepth: not used.
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
    def rm(
        self,
        path: str,
        recursive: bool = False,
        maxdepth: int | None = None,  # noqa: ARG002 - as in ARE
    ) -> None:
        """Remove a file, or a directory with all that is in it.

        Args:
            path: what to remove.
            recursive: needed to remove a directory.
            maxdepth: not used.
        """
        self._rm(path, recursive)

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
    def display(self, path: str) -> bool:
        """Show a file to the user. What it holds is not told to you.

        Args:
            path: of the file.

        Returns:
            Whether there is such a file.
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

    @tool("agent")
    def read_document(self, file_path: str, max_lines: int | None = 20) -> str:
        """Read the text of a document: plain text, HTML, PDF, Word, Excel, PowerPoint and others.

        Args:
            file_path: of the document.
            max_lines: how many lines to read at most, so that long documents do not fill your
                memory; None: all.

        Returns:
            The text, and a note if there is more of it.
        """
        return self._document(file_path, max_lines)
