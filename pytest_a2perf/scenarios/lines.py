"""On which line of a TOML file each key stands; the standard parser does not tell."""

from __future__ import annotations

import re

__all__ = ["KeyPath", "key_lines", "nearest_line"]

KeyPath = tuple[str | int, ...]

_KEY_PART = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*"|'[^']*')"""
_KEY = re.compile(rf"\s*({_KEY_PART}(?:\s*\.\s*{_KEY_PART})*)\s*=")
_HEADER = re.compile(rf"\s*(\[\[?)\s*({_KEY_PART}(?:\s*\.\s*{_KEY_PART})*)\s*\]")
_PART = re.compile(_KEY_PART)
_TOKENS = re.compile(
    r'"""(?:[^\\]|\\.)*?"""' r"|'''.*?'''" r'|"(?:[^"\\\n]|\\.)*"' r"|'[^'\n]*'" r"|#[^\n]*",
    re.DOTALL,
)


def key_lines(text: str) -> dict[KeyPath, int]:
    """Map every key and table of a valid TOML text to its line, counted from 1.

    Arrays of tables are indexed: ``("scenario", 0, "gates", "return.mean")``. Keys inside inline
    tables are not listed; `nearest_line` then gives the line of the table's own key.
    """
    lines: dict[KeyPath, int] = {}
    counts: dict[KeyPath, int] = {}
    prefix: KeyPath = ()
    depth = 0
    # Not splitlines(): to TOML, U+0085 and the like are letters.
    plain = _without_strings(text).split("\n")
    for number, (line, bare) in enumerate(zip(text.split("\n"), plain, strict=True), start=1):
        if depth == 0 and bare.strip():
            if header := _HEADER.match(line):
                prefix = _table(header, counts)
                lines.setdefault(prefix, number)
            elif key := _KEY.match(line):
                path = prefix
                for part in _parts(key[1]):
                    path = (*path, part)
                    lines.setdefault(path, number)
        depth += sum(bare.count(c) for c in "[{") - sum(bare.count(c) for c in "]}")
    return lines


def nearest_line(lines: dict[KeyPath, int], path: KeyPath) -> int:
    """Return the line of the longest known beginning of a path, or 1."""
    for end in range(len(path), 0, -1):
        if path[:end] in lines:
            return lines[path[:end]]
    return 1


def _table(header: re.Match[str], counts: dict[KeyPath, int]) -> KeyPath:
    path: KeyPath = ()
    parts = _parts(header[2])
    for position, part in enumerate(parts):
        path = (*path, part)
        last = position == len(parts) - 1
        if last and header[1] == "[[":
            counts[path] = counts.get(path, -1) + 1
        if path in counts:
            path = (*path, counts[path])
    return path


def _parts(key: str) -> list[str]:
    parts = _PART.findall(key)
    return [part[1:-1] if part[0] in "\"'" else part for part in parts]


def _without_strings(text: str) -> str:
    """Blank out strings and comments, keeping the line structure."""
    return _TOKENS.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)
