"""A language model that operates a site: it reads pages as text and answers with actions."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

from pytest_a2perf.agents.base import AgentContext
from pytest_a2perf.domains.web.environment import WebNavigationEnv
from pytest_a2perf.domains.web.site import MAX_ELEMENTS
from pytest_a2perf.domains.web.text import page_text, profile_text
from pytest_a2perf.errors import AgentError
from pytest_a2perf.llm import ChatModel
from pytest_a2perf.suggest import did_you_mean

__all__ = ["LlmWebAgent", "Move", "ReplyError", "parse_reply"]

PROMPT = """\
You operate a web site for a user. Fill in every field of a page that the user's data has, then \
press the button that leaves the page, and so on until the last page is sent. A button that leaves \
a page cannot be taken back: press it when the page is complete.

Each element of a page has a number. Answer with one action, alone on the last line:
type ELEMENT FIELD   fills in a text field or chooses from a list what the user's data has for FIELD
click ELEMENT        ticks a box or a circle, presses a button, follows a link"""

_SETTINGS = {"temperature": 0.0, "max_tokens": 512, "max_retries": 3}

_LINE = re.compile(r"\b(type|click)\b[\s:(]*#?\[?(\d+)\]?(?:[\s,:]+[\"'`]?(\w+))?", re.IGNORECASE)
_OBJECT = re.compile(r"\{[^{}]*\}")


class ReplyError(Exception):
    """A reply holds no action; the message tells the model why."""


class Move(NamedTuple):
    """What a model wants to do.

    Attributes:
        element: number of the element.
        field: whose text it types; None clicks.
    """

    element: int
    field: str | None


def parse_reply(reply: str, count: int, fields: Collection[str]) -> Move:
    """Return the last action in a reply.

    It is a line as the prompt asks for, or a JSON object such as
    ``{"action": "type", "element": 3, "field": "city"}``; whatever stands around it is ignored.

    Args:
        reply: the model's.
        count: of elements on the page.
        fields: of the user's data.

    Raises:
        ReplyError: it holds none, or one that the page does not have.
    """
    found = [*_lines(reply), *_objects(reply)]
    if not found:
        raise ReplyError("There is no action in your answer.")
    _, action, element, field = max(found, key=lambda each: each[0])
    if not 0 <= element < count:
        raise ReplyError(f"There is no element {element}; the page has 0 to {count - 1}.")
    if action == "click":
        return Move(element, None)
    if field is None:
        raise ReplyError("To type, name the field whose text is to be typed: type ELEMENT FIELD")
    if field not in fields:
        raise ReplyError(f"The user's data has no field {field!r}{did_you_mean(field, fields)}.")
    return Move(element, field)


_Found = tuple[int, str, int, str | None]
"""Place in the reply, action, element and field."""


def _lines(reply: str) -> Iterator[_Found]:
    for match in _LINE.finditer(reply):
        yield match.start(), match[1].lower(), int(match[2]), match[3]


def _objects(reply: str) -> Iterator[_Found]:
    for match in _OBJECT.finditer(reply):
        try:
            said = json.loads(match[0])
            action, element, field = said["action"], int(said["element"]), said.get("field")
        except (KeyError, TypeError, ValueError):
            continue
        if action in ("type", "click"):
            yield match.start(), action, element, None if field is None else str(field)


class LlmWebAgent:
    """Asks a model for each action, from the page as text.

    A reply without a valid action is answered with what is wrong about it, at most ``corrections``
    times; then the step is lost, which costs what any action without effect does.

    The trial reports ``calls``, ``prompt_tokens``, ``completion_tokens``, ``bad_replies`` and
    ``lost_steps``, and ``cost`` in dollars where litellm knows the model's prices. Its record's
    context has the model's name as ``llm``.

    Args:
        context: of the trial; its environment is a `WebNavigationEnv`.
        model: see `ChatModel`.
        corrections: of bad replies, in one step.
        settings: further arguments of `ChatModel`.

    Raises:
        AgentError: the environment is another one, or no model is given.
    """

    def __init__(
        self, context: AgentContext, *, model: str = "", corrections: int = 2, **settings: Any
    ) -> None:
        env = context.env.unwrapped
        if not isinstance(env, WebNavigationEnv):
            raise AgentError("agent 'web-llm' needs one environment of a2perf/WebNavigation")
        if not model:
            raise AgentError("agent 'web-llm' needs agent_options.model, e.g. 'openai/gpt-4o-mini'")
        self._env = env
        self._model = model
        self._chat = ChatModel(model, **(_SETTINGS | settings))
        self._context = context
        self._corrections = corrections
        self._moves: list[str] = []
        self._bad = self._lost = 0

    def reset(self, seed: int) -> None:
        """Begin an episode."""
        del seed
        self._moves.clear()

    def act(self, observation: Any) -> int:
        """Return what the model wants to do on the page that the environment shows.

        Raises:
            InfraError: see `ChatModel.complete`.
            AgentError: see `ChatModel.complete`.
        """
        del observation  # the same page, as numbers
        env = self._env
        count = len(env.site.pages[env.state.page].elements)
        messages = [
            {"role": "system", "content": PROMPT},
            {"role": "user", "content": self._show()},
        ]
        for _ in range(1 + self._corrections):
            reply = self._chat.complete(messages).text
            try:
                move = parse_reply(reply, count, env.profile)
            except ReplyError as error:
                self._bad += 1
                messages.append({"role": "assistant", "content": reply})
                messages.append({"role": "user", "content": str(error)})
            else:
                self._moves.append(_line(move))
                return env.action_of(move.element, move.field)
        self._lost += 1
        self._moves.append("nothing, as your answer held no action")
        return min(count, MAX_ELEMENTS - 1)  # no element, unless the page is as long as can be

    def close(self) -> None:
        """Report what the model was asked, and what that took."""
        self._context.note(llm=self._model)
        totals = self._chat.totals
        for name in ("calls", "prompt_tokens", "completion_tokens"):
            self._context.report(name, getattr(totals, name), source="litellm")
        self._context.report("bad_replies", self._bad, source="litellm")
        self._context.report("lost_steps", self._lost, source="litellm")
        if totals.cost is not None:
            self._context.report("cost", totals.cost, "USD", source="litellm", quality="modelled")

    def _show(self) -> str:
        env = self._env
        data = profile_text(env.profile)
        moves = "\n".join(self._moves) or "nothing yet"
        page = page_text(env.site, env.state)
        return f"The user's data:\n{data}\n\nYou did so far:\n{moves}\n\nThe page:\n{page}"


def _line(move: Move) -> str:
    if move.field is None:
        return f"click {move.element}"
    return f"type {move.element} {move.field}"
