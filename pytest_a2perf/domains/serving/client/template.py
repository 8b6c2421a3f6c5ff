"""Telling events that only carry the next piece of text, without parsing them."""

from __future__ import annotations

from pytest_a2perf.domains.serving.client.codec import dumps

__all__ = ["Template"]

_TRIES = 8
_MARKS = (b'"', b"\\", b"\n", b"\r")


class Template:
    """Knows the bytes around the text of an event that was parsed.

    Nearly all events of a stream are the same but for that text. One that begins and ends with the
    same bytes, and has nothing between them that could end the text, is as well formed as the one
    that was parsed, and says the same: it need not be parsed, which is most of the work. (Only
    that its text is UTF-8 is not looked at.)
    """

    __slots__ = ("_begin", "_end", "_tries")

    def __init__(self) -> None:
        self._begin = self._end = b""
        self._tries = _TRIES

    def learn(self, piece: bytes, text: str) -> None:
        """Take in an event and its visible text; give up on streams whose events all differ."""
        if not self._tries:
            return
        string = dumps(text)
        if b"\\" in string or piece.count(string) != 1:
            return
        self._tries -= 1
        at = piece.index(string)
        self._begin, self._end = piece[: at + 1], piece[at + len(string) - 1 :]

    def fits(self, piece: bytes) -> bool:
        """Whether a piece is an event that differs from one before only in its visible text."""
        begin, end = self._begin, self._end
        if not begin or not piece.startswith(begin) or not piece.endswith(end):
            return False
        text = piece[len(begin) : -len(end)]
        if not text:
            return False
        for mark in _MARKS:
            if mark in text:
                return False
        self._tries = _TRIES
        return True
