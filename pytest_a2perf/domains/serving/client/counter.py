"""Counting tokens where the server does not."""

from __future__ import annotations

from collections.abc import Callable

from pytest_a2perf.errors import AgentError

__all__ = ["token_counter"]


def token_counter(path: str) -> Callable[[str], int] | None:
    """Return what counts the tokens of a text by a ``tokenizer.json``, or None for no path.

    Raises:
        AgentError: the file cannot be read, or the package ``tokenizers`` is not installed.
    """
    if not path:
        return None
    try:
        from tokenizers import Tokenizer
    except ImportError:
        raise AgentError(f"{path}: a tokenizer needs: pip install tokenizers") from None
    try:
        tokenizer = Tokenizer.from_file(path)
    except Exception as error:
        raise AgentError(f"{path}: not a tokenizer.json: {error}") from error
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids)
