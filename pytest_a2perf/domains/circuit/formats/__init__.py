"""Files of netlists and placements: Circuit Training's, and Bookshelf's."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

from pytest_a2perf.domains.circuit.errors import FormatError

__all__ = ["read_text"]


def read_text(path: Path) -> str:
    """Read a text file, unpacked if its name ends in ``.gz``.

    Raises:
        FormatError: it is not there, or is not text.
    """
    try:
        data = path.read_bytes()
        return (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise FormatError(path, 0, f"cannot be read: {reason}") from error
    except UnicodeDecodeError as error:
        raise FormatError(path, 0, f"is not a text file: {error}") from error
