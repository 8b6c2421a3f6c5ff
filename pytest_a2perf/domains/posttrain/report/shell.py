"""Commands and Python code inside of an agent's shell scripts and notebooks."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

__all__ = ["Started", "inline_sources", "notebook", "shell_lines", "started"]

_HERE = re.compile(r"(?<!<)<<(?!<)-?\s*[\"']?([A-Za-z_]\w*)")
_PYTHON = re.compile(r"python[\d.]*")
_INLINE = re.compile(r"\bpython[\d.]*[ \t]+(?:-\w+[ \t]+)?-c[ \t]+")
_QUOTED = re.compile(r"'([^']*)'|\"((?:[^\"\\]|\\.)*)\"", re.DOTALL)
_WORD = re.compile(r"[;&|\n]+|(?:\$\([^()]{0,200}\)(?=/)|[^\s;&|])+")
_LONGEST_WORD = 500
_MOST_INLINE = 100
_LAUNCHERS = frozenset({"torchrun", "deepspeed", "papermill", "jupyter"})
_LAUNCHERS_OF_TWO_WORDS = frozenset({("accelerate", "launch"), ("uv", "run")})
_LAUNCHING = re.compile(r"(torch\.distributed|accelerate|deepspeed|cProfile|coverage)\b")
_ENDS = (".py", ".ipynb")


@dataclass(frozen=True, slots=True)
class Started:
    """What a command starts.

    Attributes:
        script: path of a file, as it is written; or empty.
        module: dotted name after ``-m``; or empty.
    """

    script: str = ""
    module: str = ""


def started(line: str) -> Iterator[Started]:
    """Yield the Python programs that a command line starts.

    In words, not by one expression: what agents print may be made to keep one busy for ever.
    """
    words = [word for word in _WORD.findall(line) if len(word) <= _LONGEST_WORD]
    at = 0
    while at < len(words):
        name = words[at].strip("\\\"'`(){}[]").rpartition("/")[2]
        following = words[at + 1] if at + 1 < len(words) else ""
        at += 1
        if _PYTHON.fullmatch(name):
            loose = False
        elif name in _LAUNCHERS or (name, following) in _LAUNCHERS_OF_TWO_WORDS:
            loose = True
        else:
            continue
        # Python takes the first word that is no option; launchers have options with values.
        while at < len(words) and not re.match(r"[;&|\n]", words[at]):
            word = words[at]
            script = _script(word)
            if word in ("-m", "--module") and at + 1 < len(words):
                at += 1
                module = words[at].strip("\"'`")
                yield Started(module=module)
                if not _LAUNCHING.match(module):
                    break
                loose = True
            elif script and not word.startswith("-"):
                yield Started(script=script)
                break
            elif _PYTHON.fullmatch(word) or word == "-c" or not (loose or word.startswith("-")):
                break
            elif word in ("-W", "-X") and not loose:
                at += 1
            at += 1


def _script(word: str) -> str:
    """Return the path of the file of Python that a word names; empty if it names none."""
    for end in _ENDS:
        path, found, rest = word.partition(end)
        if found and not re.match(r"\w", rest):
            return path.strip("\"'`({[") + end
    return ""


def shell_lines(shells: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield place and text of each command, without comments and here-documents.

    A command that goes on after a backslash stands at its first line.
    """
    for path, text in shells.items():
        end = ""
        first, parts = 0, list[str]()
        for number, line in enumerate(text.splitlines(), 1):
            if end:
                end = "" if line.strip() == end else end
                continue
            code = _without_comment(line)
            first = first if parts else number
            parts.append(code.rstrip().removesuffix("\\"))
            if code.rstrip().endswith("\\"):
                continue
            code, parts = " ".join(parts), []
            match = _HERE.search(code)
            end = match[1] if match else ""
            if code.strip() and not re.match(r"\s*(echo|printf)\b", code):
                yield f"{path}:{first}", code
        if parts:
            yield f"{path}:{first}", " ".join(parts)


def inline_sources(shells: Mapping[str, str], commands: Sequence[str] = ()) -> dict[str, str]:
    """Return Python code inside of shell scripts, as ``path!line``; its line numbers are kept.

    Args:
        shells: texts by path.
        commands: of processes, which have lost their quotation marks: ``process!number``.
    """
    found: dict[str, str] = {}
    for path, text in shells.items():
        lines = text.splitlines()
        offsets = [0]
        for line in text.splitlines(keepends=True):
            offsets.append(offsets[-1] + len(line))
        number = 0
        while number < len(lines) and len(found) < _MOST_INLINE:
            code = _without_comment(lines[number])
            match = _HERE.search(code)
            at = _INLINE.search(lines[number]) if _INLINE.search(code) else None
            quoted = at and _QUOTED.match(text, offsets[number] + at.end())
            if quoted:
                found[f"{path}!{number + 1}c"] = "\n" * number + (quoted[1] or quoted[2] or "")
            start = number = number + 1
            if match is None or not _PYTHON.search(code, 0, match.start()):
                continue
            while number < len(lines) and lines[number].strip() != match[1]:
                number += 1
            found[f"{path}!{start}"] = "\n" * start + "\n".join(lines[start:number])
    for number, command in enumerate(commands[:_MOST_INLINE]):
        if at := _INLINE.search(command):
            found[f"process!{number}c"] = command[at.end() :]
    return found


def notebook(text: str) -> tuple[str, str]:
    """Return the code of a notebook's cells, and its shell commands, on lines of the same numbers.

    Raises:
        ValueError: it is no notebook.
    """
    try:
        data = json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    cells = data.get("cells") if isinstance(data, dict) else None
    if not isinstance(cells, list):
        raise ValueError("it has no cells")  # noqa: TRY004, the text is at fault
    python: list[str] = []
    shell: list[str] = []
    for cell in cells:
        if not isinstance(cell, dict) or cell.get("cell_type") != "code":
            continue
        source = cell.get("source", "")
        lines = "".join(map(str, source)) if isinstance(source, list) else str(source)
        magic = re.match(r"\s*%%\s*(\w+)", lines)
        for line in lines.splitlines():
            code = line.lstrip()
            blank = line[: len(line) - len(code)] + "pass" if code[:1] in ("%", "!") else line
            if magic and magic[1] not in ("time", "timeit", "capture"):
                python.append("")
                shell.append(line if magic[1] in ("bash", "sh") and code[:1] != "%" else "")
            else:
                python.append(blank)
                shell.append(code[1:] if code.startswith("!") else "")
    return "\n".join(python), "\n".join(shell)


def _without_comment(line: str) -> str:
    """Return a line of shell or YAML without its comment."""
    if "#" not in line:
        return line
    lexer = shlex.shlex(line, posix=False)
    lexer.whitespace_split = True
    lexer.commenters = "#"
    try:
        return " ".join(lexer)
    except ValueError:  # an open quotation mark
        return line.partition(" #")[0] if not line.lstrip().startswith("#") else ""
