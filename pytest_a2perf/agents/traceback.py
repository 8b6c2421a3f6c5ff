"""Tracebacks that show the user's code and nothing else."""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path

__all__ = ["user_traceback"]

_MACHINERY = ("_pytest", "execnet", "importlib", "pluggy", "pytest", "xdist")
_OURS = f"{Path(__file__).resolve().parent.parent}{os.sep}"


def user_traceback(error: BaseException) -> str:
    """Format an exception and its causes without the frames that only led to the user's code.

    Frames of pytest, of its plugins, of the import machinery, of Gymnasium and of this package are
    left out. Where Gymnasium's are the only others, they stay.
    """
    shown = traceback.TracebackException.from_exception(error)
    machinery = (_OURS, "<frozen ", *_folders(*_MACHINERY))
    _strip(shown, machinery, _folders("gymnasium"))
    return "".join(shown.format()).rstrip("\n")


def _strip(
    part: traceback.TracebackException, machinery: tuple[str, ...], library: tuple[str, ...]
) -> None:
    frames = [frame for frame in part.stack if not frame.filename.startswith(machinery)]
    users = [frame for frame in frames if not frame.filename.startswith(library)]
    kept = users or frames
    # Without a stack the exception is formatted alone, without an empty heading.
    part.stack = traceback.StackSummary.from_list(kept) if kept else None  # type: ignore[assignment]
    context = None if part.__suppress_context__ else part.__context__
    for other in (part.__cause__, context, *(part.exceptions or ())):
        if other is not None:
            _strip(other, machinery, library)


def _folders(*packages: str) -> tuple[str, ...]:
    """Return where packages lie: a user's own folder may well be called ``pytest``."""
    files = (getattr(sys.modules.get(name), "__file__", None) for name in packages)
    return tuple(f"{Path(file).parent}{os.sep}" for file in files if file)
