"""Tracebacks that show the user's code and nothing else."""

from __future__ import annotations

import traceback
from pathlib import Path

__all__ = ["user_traceback"]

_OURS = str(Path(__file__).resolve().parent.parent)
_FOREIGN = ("_pytest", "pluggy", "importlib", "gymnasium", "xdist", "execnet", "pytest")


def user_traceback(error: BaseException) -> str:
    """Format an exception and its causes, leaving out frames of pytest, Gymnasium and ours.

    Where nothing else is left, all frames stay.
    """
    shown = traceback.TracebackException.from_exception(error)
    part: traceback.TracebackException | None = shown
    while part is not None:
        kept = [frame for frame in part.stack if _is_users(frame.filename)]
        if kept:
            part.stack = traceback.StackSummary.from_list(kept)
        part = part.__cause__ or (None if part.__suppress_context__ else part.__context__)
    return "".join(shown.format()).rstrip("\n")


def _is_users(filename: str) -> bool:
    if filename.startswith((_OURS, "<frozen importlib", "<frozen runpy")):
        return False
    parts = Path(filename).parts
    return not any(name in parts for name in _FOREIGN)
