"""Calls of models, kept and played again, so that tests need no key, no network and no money."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal, get_args

from pytest_a2perf.llm.answer import Answer
from pytest_a2perf.llm.difference import difference
from pytest_a2perf.llm.errors import CassetteError
from pytest_a2perf.llm.tape import Call, Request, Tape, digest
from pytest_a2perf.suggest import did_you_mean

__all__ = ["Cassette", "CassetteError", "Mode", "Request", "open_cassette"]

Mode = Literal["replay", "record", "new"]

_SUFFIX = ".jsonl"


def open_cassette(path: Path, mode: Mode | Literal["off"], *, attempt: int = 0) -> Cassette | None:
    """Return a `Cassette`, or None where the mode is ``off``.

    Raises:
        CassetteError: see `Cassette`.
    """
    return None if mode == "off" else Cassette(path, mode, attempt=attempt)


class Cassette:
    """Answers of models, found by what was asked.

    A request is the same if model, messages, tools and parameters are; where it is asked has no
    part in it. If a trial asks the same several times, each time has an answer of its own, and so
    has each attempt: else all attempts would come to the same.

    A path ending in ``.jsonl`` is one file. Another is a folder with a file for each conversation,
    named by its model, parameters and first messages. Trials may share both, also at once; those
    that ask the same in the same attempt share the answers.

    Args:
        path: of the file or folder.
        mode: ``replay`` asks nobody: what is not there is an error. ``new`` replays what is there
            and records the rest. ``record`` asks for everything; of two answers to the same, the
            last counts.
        attempt: number of the trial's attempt, e.g. its seed.

    Raises:
        CassetteError: the mode is another one, or there is nothing to replay.
    """

    def __init__(self, path: Path, mode: Mode, *, attempt: int = 0) -> None:
        if mode not in get_args(Mode):
            near = did_you_mean(mode, ["off", *get_args(Mode)])
            raise CassetteError(f"there is no cassette mode {mode!r}{near}")
        if mode == "replay" and not path.exists():
            raise CassetteError(f"cassette {path} does not exist; record it first")
        self._path = path
        self._mode = mode
        self._attempt = attempt
        self._single = path.suffix == _SUFFIX
        self._asked: Counter[str] = Counter()
        self._tapes: dict[Path, Tape] = {}

    def answer(self, request: Request, ask: Callable[[], Answer]) -> Answer:
        """Return the recorded answer, or that of ``ask``, which is recorded.

        Raises:
            CassetteError: it should be replayed and is not there; says what differs.
        """
        messages = tuple(digest(message) for message in request.messages)
        tools = digest(list(request.tools))
        call = Call(request.model, request.parameters, tools, messages, self._attempt)
        call = replace(call, occurrence=self._asked[call.id])
        self._asked[call.id] += 1
        tape = self._tape(self._file(call, request))
        found = tape.calls.get(call.key)
        if self._mode != "record" and found is not None and found.answer is not None:
            return found.answer
        if self._mode == "replay":
            why = difference(request, call, self._everything())
            raise CassetteError(f"cassette {self._path} has no answer to this request: {why}")
        answer = ask()
        tape.add(request, call, answer)
        return answer

    def _file(self, call: Call, request: Request) -> Path:
        if self._single:
            return self._path
        roles = [message.get("role") for message in request.messages]
        first = roles.index("user") + 1 if "user" in roles else len(roles)
        name = digest([call.model, call.parameters, call.tools, call.messages[:first]])
        return self._path / (name + _SUFFIX)

    def _tape(self, path: Path) -> Tape:
        if path not in self._tapes:
            self._tapes[path] = Tape(path)
        return self._tapes[path]

    def _everything(self) -> list[Tape]:
        paths = [self._path] if self._single else sorted(self._path.glob(f"*{_SUFFIX}"))
        return [self._tape(path) for path in paths]
