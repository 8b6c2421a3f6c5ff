"""Words and letters that stand in for others, of the same length and look."""

from __future__ import annotations

import hashlib
import hmac
import re

from pytest_a2perf.domains.serving.trajectories.texts import WORDS

__all__ = ["Pseudonyms"]

_RUNS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|[0-9]+|[^\x00-\x7f]+")
_LONGEST = 8
_BY_LENGTH: dict[int, tuple[str, ...]] = {
    1: tuple("abcdefghijkmnpqrstuvwxyz"),
    2: ("as", "at", "by", "do", "go", "in", "is", "it", "no", "of", "on", "or", "to", "up"),
    3: ("and", "are", "but", "can", "few", "for", "has", "key", "map", "new", "old", "row", "the"),
    **{
        length: tuple(word for word in WORDS if len(word) == length)
        for length in range(4, _LONGEST + 1)
    },
}
_HEX = "0123456789abcdef"
_DIGITS = "0123456789"
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


class Pseudonyms:
    """Replaces texts by others, always the same for the same key.

    Args:
        key: who does not know it cannot tell which text stands for which, even by trying.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._words: dict[str, str] = {}

    def words(self, text: str) -> str:
        """Replace the runs of letters and digits in a text; whatever else is in it stays.

        Words become words of as many bytes of UTF-8, so that their length in tokens hardly
        changes; upper case stays where it was.
        """
        return _RUNS.sub(self._run, text)

    def characters(self, text: str) -> str:
        """Replace each letter by a letter and each digit by a digit, for what is random anyway.

        What looks hexadecimal stays hexadecimal.
        """
        lower = text.lower()
        hexadecimal = all(letter in _HEX for letter in lower if letter.isalnum())
        picks = self._bytes(text, len(text))
        replaced = []
        for letter, pick in zip(text, picks, strict=True):
            if not letter.isascii():
                other = "x" * len(letter.encode("utf-8", "replace"))
            elif not letter.isalnum():
                other = letter
            elif hexadecimal:
                other = _HEX[pick % 16]
            else:
                letters = _DIGITS if letter.isdigit() else _LETTERS
                other = letters[pick % len(letters)]
            replaced.append(other.upper() if letter.isupper() else other)
        return "".join(replaced)

    def digest(self, text: str) -> str:
        """Return 16 hexadecimal digits that stand for a text."""
        return self._bytes(text, 8).hex()

    def _run(self, match: re.Match[str]) -> str:
        text = match[0]
        found = self._words.get(text)
        if found is None:
            found = self._words[text] = self._replacement(text)
        return found

    def _replacement(self, text: str) -> str:
        if text.isdigit() and text.isascii():
            picks = self._bytes(text, len(text))
            digits = "".join(_DIGITS[pick % 10] for pick in picks)
            # A number keeps its size, so that no zero comes first.
            return _other(text, str(1 + picks[0] % 9) + digits[1:], _DIGITS)
        size = len(text.encode("utf-8", "replace"))
        picks = self._bytes(text.lower(), 2 * size)
        parts: list[str] = []
        while size:
            length = size if size <= _LONGEST else min(6, size - 4)
            words = _BY_LENGTH[length]
            parts.append(words[int.from_bytes(picks[2 * len(parts) :][:2]) % len(words)])
            size -= length
        word = _other(text.lower(), "".join(parts), _LETTERS)
        if text.isupper() and len(text) > 1:
            return word.upper()
        return word.capitalize() if text[0].isupper() else word

    def _bytes(self, text: str, count: int) -> bytes:
        seed = hmac.digest(self._key, text.encode("utf-8", "replace"), "sha256")
        return seed[:count] if count <= len(seed) else hashlib.shake_256(seed).digest(count)


def _other(text: str, replacement: str, alphabet: str) -> str:
    if replacement != text:
        return replacement
    last = alphabet[(alphabet.index(text[-1]) + 1) % len(alphabet)]
    return replacement[:-1] + last
