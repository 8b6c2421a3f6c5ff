"""A small library of pages with a search, and questions that take several of them.

Each word is a single character, so that a tiny model learns to copy it within seconds; `spell`
writes them out. Agents import this file as ``search_world``; it needs nothing but the standard
library.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

__all__ = [
    "SIGNS",
    "STEPS",
    "Asked",
    "Index",
    "Inquiry",
    "is_right",
    "read_world",
    "spell",
    "write_world",
]

SIGNS = {
    "?": "search",
    "!": "answer",
    "^": "boss",
    "=": "pal",
    "~": "aunt",
    "@": "town",
    "&": "kids",
    "#": "nothing",
}

Asked = tuple[str, Sequence[str]]
"""A question, and the names that it asks for."""

STEPS = 4
"""Actions for a question at most."""


def spell(text: str) -> str:
    """Return a text in words, for people; names stay as they are."""
    lines = text.split("\n")
    return "\n".join(" ".join(SIGNS.get(char, char) for char in line) for line in lines)


class Index:
    """Documents, ranked by BM25.

    The score of a document is the sum, over the words of the query, of ``idf * f * (k1 + 1) / (f +
    k1 * (1 - b + b * length / mean length))``, where f is how often the document has the word, and
    ``idf = ln(1 + (N - n + 0.5) / (n + 0.5))`` for a word that n of N documents have.

    Args:
        documents: title and text; words of the title count twice.
        k1: how soon further occurrences of a word count no more.
        b: how much long documents are at a disadvantage, 0 to 1.
    """

    def __init__(
        self, documents: Sequence[tuple[str, str]], k1: float = 1.2, b: float = 0.75
    ) -> None:
        self.documents = tuple(documents)
        bags = [Counter(title + title + text) for title, text in documents]
        lengths = [bag.total() for bag in bags]
        mean = sum(lengths) / max(1, len(lengths))
        self._weights: dict[str, dict[int, float]] = {}
        for number, bag in enumerate(bags):
            norm = k1 * (1 - b + b * lengths[number] / mean)
            for word, count in bag.items():
                weight = count * (k1 + 1) / (count + norm)
                self._weights.setdefault(word, {})[number] = weight
        for having in self._weights.values():
            idf = math.log(1 + (len(bags) - len(having) + 0.5) / (len(having) + 0.5))
            for number in having:
                having[number] *= idf

    def search(self, query: str) -> list[tuple[int, float]]:
        """Return number and score of all documents with a word of the query, best first."""
        scores: dict[int, float] = {}
        for word in dict.fromkeys(query):
            for number, weight in self._weights.get(word, {}).items():
                scores[number] = scores.get(number, 0.0) + weight
        return sorted(scores.items(), key=lambda item: (-item[1], item[0]))


def is_right(answer: str, expected: Sequence[str]) -> bool:
    """Return whether an answer names just what is expected, in any order; signs are free."""
    return sorted(char for char in answer if char not in SIGNS) == sorted(expected)


class Inquiry:
    """An environment: a question, and a library to look things up in.

    Actions are ``?`` with words, which is answered by the text of the page that fits best, and
    ``!`` with names, which ends it; the reward is 1 if these are right. Anything else is answered
    by ``#``.

    Args:
        index: of the library.
        questions: text and expected names, by number, for `reset`.
    """

    def __init__(self, index: Index, questions: Sequence[Asked]) -> None:
        self._index = index
        self._questions = questions
        self.reset(0)

    def reset(self, task: int) -> str:
        """Begin; return the question."""
        question, self._expected = self._questions[task]
        self._steps = 0
        self.searches = 0
        self.answer: str | None = None
        return question

    def step(self, text: str) -> tuple[str, float, bool]:
        """Do an action; return what is read next, the reward, and whether it is over."""
        self._steps += 1
        over = self._steps >= STEPS
        if text.startswith("!"):
            self.answer = text[1:]
            return "", float(is_right(self.answer, self._expected)), True
        if not text.startswith("?"):
            return "#\n", 0.0, over
        self.searches += 1
        found = self._index.search(text[1:])
        page = self._index.documents[found[0][0]][1] if found else "#"
        return f"{page}\n", 0.0, over


def write_world(
    path: Path, documents: Sequence[tuple[str, str]], questions: Sequence[Asked]
) -> None:
    """Write a library, title and text of each page, and questions."""
    world = {"documents": documents, "questions": questions}
    path.write_text(json.dumps(world) + "\n", encoding="utf-8")


def read_world(path: Path) -> tuple[Index, list[Asked]]:
    """Inverse of `write_world`."""
    world = json.loads(path.read_bytes())
    documents = [(title, text) for title, text in world["documents"]]
    return Index(documents), [(text, tuple(names)) for text, names in world["questions"]]
