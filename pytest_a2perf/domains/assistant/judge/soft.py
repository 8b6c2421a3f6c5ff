"""Free texts, compared by a model."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pytest_a2perf.domains.assistant.judge import prompts
from pytest_a2perf.domains.assistant.judge.timing import clock
from pytest_a2perf.errors import A2PerfError, InfraError

__all__ = ["Ask", "Comparison", "SoftJudge", "User", "poll"]

Ask = Callable[[list[dict[str, str]]], str]
"""Puts a conversation (``role``, ``content``) to a model, and returns its answer."""

ATTEMPTS = 3
"""How often a model is asked whose answer has no verdict in it."""

_TAGS = re.compile(r"\[\[(success|failure)\]\]", re.IGNORECASE)
_SUBTASK = re.compile(r"<subtask>(.*?)</subtask>", re.IGNORECASE | re.DOTALL)
_NUMBER = re.compile(r"\d+(\.\d+)?")
_NEED_SUBTASK = frozenset({"content", "event", "sanity", "user_message"})
_BLANKS = (
    "[user's name]", "[user name]", "[user]", "[your name]", "[my name]",
    "best regards,\nyour name", "best,\nyour name",
)  # fmt: skip
"""What nobody has filled in, in lower case."""


@dataclass(frozen=True)
class User:
    """Whom the agent works for, as far as a scenario says."""

    name: str = ""
    address: str = ""


@dataclass(frozen=True)
class Comparison:
    """Texts to compare.

    Attributes:
        tool: name of the tool they were given to.
        checks: what to ask, in this order.
        agent: the agent's texts, by argument.
        oracle: the oracle's.
        tasks: what the user had asked for, turn by turn, up to this one.
        user: who had asked.
        time: when the oracle made its call, in seconds since 1970.
    """

    tool: str
    checks: tuple[str, ...]
    agent: Mapping[str, str]
    oracle: Mapping[str, str]
    tasks: tuple[str, ...]
    user: User
    time: float


class SoftJudge:
    """Compares texts by asking a model.

    An agent is never refused because its judge is out of order: then `InfraError` is raised.

    Args:
        ask: puts a conversation to the model.
        votes: how often each question is put; the majority decides.

    Raises:
        A2PerfError: the number of votes is not odd.
    """

    def __init__(self, ask: Ask, *, votes: int = 1) -> None:
        if votes < 1 or votes % 2 == 0:
            raise A2PerfError(f"votes of a judge must be odd, so that they decide; got {votes}")
        self._ask = ask
        self._votes = votes
        self._subtasks: dict[tuple[str, str, str], str] = {}

    def refusal(self, comparison: Comparison) -> str | None:
        """Return why the agent's texts will not do, or None.

        Raises:
            InfraError: the model cannot be asked, or gives no verdict.
        """
        texts: dict[str, str] | None = None
        for check in comparison.checks:
            if check == "placeholder":
                if reason := _blank(comparison.agent):
                    return reason
                continue
            if texts is None:
                texts = self._texts(comparison)
            if check == "sanity" and _is_number(comparison.agent):
                continue
            shown = texts if check != "sanity" else texts | {"task": "\n".join(comparison.tasks)}
            answer = self._objection(check, shown)
            if answer is not None:
                return f"the judge's model objects to {check}: {answer or 'it does not say why'}"
        return None

    def _objection(self, check: str, texts: Mapping[str, str]) -> str | None:
        """Return the answer of a model that objects, or None; the majority of votes decides."""
        messages = prompts.PROMPTS[check].messages(texts)
        votes: dict[bool, list[str]] = {True: [], False: []}
        while max(map(len, votes.values())) * 2 <= self._votes:
            success, answer = poll(self._ask, messages, check)
            votes[success].append(answer)
        objections = votes[False]
        return objections[0] if len(objections) * 2 > self._votes else None

    def _texts(self, comparison: Comparison) -> dict[str, str]:
        reference = _described(comparison.oracle)
        task = "\n".join(comparison.tasks).strip()
        if _NEED_SUBTASK.intersection(comparison.checks):
            task = self._subtask(comparison.tool, reference, task)
        return {
            "tool": comparison.tool,
            "task": task,
            "date": clock(comparison.time, "%Y-%m-%d %A"),
            "address": comparison.user.address,
            "user": comparison.user.name,
            "reference": reference,
            "agent": _described(comparison.agent),
        }

    def _subtask(self, tool: str, reference: str, task: str) -> str:
        """Return the part of a task that a call serves; asked once for each call."""
        if not task:
            return ""
        key = (tool, reference, task)
        if key not in self._subtasks:
            texts = {"tool": tool, "reference": reference, "task": task}
            found = _SUBTASK.findall(_answer(self._ask, prompts.SUBTASK.messages(texts)))
            self._subtasks[key] = found[-1].strip() if found else ""
        return self._subtasks[key]


def poll(ask: Ask, messages: list[dict[str, str]], what: str) -> tuple[bool, str]:
    """Return a model's verdict, and its whole answer.

    The last verdict in an answer counts: before it a model may quote what it judges.

    Raises:
        InfraError: the model cannot be asked, or gives no verdict in three answers.
    """
    for _ in range(ATTEMPTS):
        answer = _answer(ask, messages)
        if verdicts := _TAGS.findall(answer):
            return verdicts[-1].lower() == "success", _TAGS.sub("", answer).strip()
    raise InfraError(
        f"the judge's model gave no verdict on {what} in {ATTEMPTS} answers, "
        f"the last of which was {answer[:200]!r}; try another model for the judge"
    )


def _answer(ask: Ask, messages: list[dict[str, str]]) -> str:
    try:
        return ask(messages) or ""
    except A2PerfError as error:
        raise InfraError(f"the judge's model: {error}") from error
    except Exception as error:
        raise InfraError(f"the judge's model: {type(error).__name__}: {error}") from error


def _described(arguments: Mapping[str, str]) -> str:
    return "\n".join(f"{name}: {value}" for name, value in arguments.items())


def _blank(arguments: Mapping[str, str]) -> str | None:
    text = " ".join(arguments.values()).lower()
    blank = next((blank for blank in _BLANKS if blank in text), None)
    return f"it holds {blank!r}, which nobody has filled in" if blank else None


def _is_number(arguments: Mapping[str, str]) -> bool:
    """Whether an answer to the user is a number alone, which is never insane."""
    return arguments.keys() == {"content"} and bool(_NUMBER.fullmatch(arguments["content"].strip()))
