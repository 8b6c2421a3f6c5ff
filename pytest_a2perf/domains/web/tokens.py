"""Ids of words: a hash, so that they depend neither on the order of visits nor on a state."""

from __future__ import annotations

import re
from functools import lru_cache
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

__all__ = ["LENGTH", "VOCABULARY_SIZE", "token", "tokens", "words"]

VOCABULARY_SIZE = 15_000
"""Ids are from 0, which means nothing, up to below this."""
LENGTH = 10
"""Tokens that are kept of a text."""
_SALT = 8
"""With it, no two words of our pages and pools have the same id."""
_WORD = re.compile(r"[a-z]+|[0-9]{1,4}|\$")


def words(text: str) -> list[str]:
    """Return the words of a text in lower case; long numbers come in groups of four digits."""
    return _WORD.findall(text.lower())


def token(word: str) -> int:
    """Return the id of a word, from 1."""
    return 1 + crc32(word.encode(), _SALT) % (VOCABULARY_SIZE - 1)


@lru_cache(maxsize=10_000)
def tokens(text: str) -> NDArray[np.int32]:
    """Return the ids of a text's first words, shape (LENGTH,); 0 where there are no more."""
    found = [token(word) for word in words(text)[:LENGTH]]
    ids = np.zeros(LENGTH, dtype=np.int32)
    ids[: len(found)] = found
    ids.setflags(write=False)
    return ids
