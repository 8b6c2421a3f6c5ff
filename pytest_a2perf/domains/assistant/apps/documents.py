"""The text of documents."""

from __future__ import annotations

import importlib
import io
import posixpath
import re
import zipfile
from typing import Any

from pytest_a2perf.domains.assistant.errors import ToolError
from pytest_a2perf.errors import InfraError

__all__ = ["text_of_document"]

_DOCUMENTS = {".docx", ".htm", ".html", ".pdf", ".pptx", ".xls", ".xlsx"}


def text_of_document(name: str, content: bytes, limit: int) -> str:
    """Return the text of a document, as Markdown where it has a structure.

    Args:
        name: its ending says what kind of document it is.
        content: what the file holds.
        limit: bytes that it may hold when it is unpacked.

    Raises:
        ToolError: it has none, or is damaged.
        InfraError: the package that reads such documents is not installed.
    """
    suffix = posixpath.splitext(name)[1].lower()
    text = (
        _converted(name, suffix, content, limit) if suffix in _DOCUMENTS else _plain(name, content)
    )
    lines = (line.rstrip() for line in re.split(r"\r?\n", text))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines))


def _plain(name: str, content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise ToolError(f"{name} has no text that could be read") from None


def _converted(name: str, suffix: str, content: bytes, limit: int) -> str:
    try:
        markitdown: Any = importlib.import_module("markitdown")
    except ImportError:
        raise InfraError(
            f"{name}: reading {suffix} documents needs a package: pip install 'markitdown[all]'"
        ) from None
    if zipfile.is_zipfile(io.BytesIO(content)):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            size = sum(member.file_size for member in archive.infolist())
        if size > limit:
            raise ToolError(f"{name} would hold {size} bytes when it is unpacked")
    converter = markitdown.MarkItDown(enable_plugins=False)
    try:
        result = converter.convert_stream(io.BytesIO(content), file_extension=suffix)
    except Exception as error:  # noqa: BLE001 - of as many kinds as there are parsers
        raise ToolError(f"{name} cannot be read: {type(error).__name__}") from None
    return f"# {result.title}\n\n{result.markdown}" if result.title else str(result.markdown)
