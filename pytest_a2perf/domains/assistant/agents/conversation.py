"""What agents that ask a language model have in common: turns, limits and what they are told."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pytest_a2perf.domains.assistant.agents.player import Desk, news_text
from pytest_a2perf.domains.assistant.agents.usage import Limits
from pytest_a2perf.domains.assistant.apps.times import text_of
from pytest_a2perf.domains.assistant.world.notifications import Notification
from pytest_a2perf.errors import AgentFailure
from pytest_a2perf.llm import Answer, ChatModel, ConversationError

__all__ = ["SITUATION", "Message", "TalkingAgent", "say"]

Message = dict[str, Any]

SITUATION = """\
You look after the daily business of a user, on the user's own device: its apps are your tools. \
What you do there is done, so do what the user has asked for, all of it, and nothing else.

- Find out what you need to know with the tools; ask the user only for what they cannot tell you.
- Where a request is partly unclear, contradictory or impossible, do at once what is clear, and \
then ask about the rest.
- Do not report progress. Write to the user when everything is done, when you must ask, or when it \
cannot be done: a message to the user ends your turn.
- If a call fails, read why, and try another way before you give up.
- What you write to others you write in the user's name, as the user would.
- Messages of the user and news of the apps reach you as they come in. You are not told of \
everything that changes. When there is nothing to do but wait, wait with wait_for_notification.

It is {now} (UTC)."""


class TalkingAgent(ABC):
    """Plays by asking a model, one step after the other.

    Args:
        model: that is asked.
        limits: of a trial.

    Attributes:
        model: that is asked.
        messages: what was said in the trial, in OpenAI's format; answers have a ``timestamp``,
            simulated, in seconds since 1970.
    """

    def __init__(self, model: ChatModel, limits: Limits | None = None) -> None:
        self.model = model
        self.messages: list[Message] = []
        self._limits = limits or Limits()

    def play(self, desk: Desk) -> None:
        """Act in a world until it is over.

        Raises:
            AgentFailure: a limit is reached, or the conversation is too long for the model.
            AgentError: see `ChatModel.complete`.
            InfraError: see `ChatModel.complete`.
        """
        messages = self.messages = [{"role": "system", "content": self._introduce(desk)}]
        steps = 0
        if not _hear(desk, messages):
            desk.wait()
        while not desk.over:
            _hear(desk, messages)
            if steps >= self._limits.max_steps:
                self._exhausted(desk, steps)
            else:
                steps += 1
                self._step(desk, messages)
            if desk.turn_over:
                desk.wait()

    @abstractmethod
    def _introduce(self, desk: Desk) -> str:
        """Return what the model is told first."""

    @abstractmethod
    def _step(self, desk: Desk, messages: list[Message]) -> None:
        """Ask the model, and do what it wants."""

    def _exhausted(self, desk: Desk, steps: int) -> None:
        """There are no steps left."""
        del desk
        raise AgentFailure(f"the agent has used up its {steps} steps (max_steps)")

    def _ask(self, desk: Desk, messages: Sequence[Message], **more: Any) -> Answer:
        """Ask the model, and let the time pass that it needs."""
        self._limits.check(self.model.totals)
        asked = [{k: v for k, v in each.items() if k != "timestamp"} for each in messages]
        try:
            answer = self.model.complete(asked, **more)
        except ConversationError as error:
            raise AgentFailure(str(error)) from None
        desk.think(answer.seconds)
        return replace(answer, message=answer.message | {"timestamp": desk.now})


def say(messages: list[Message], content: str | list[Message]) -> None:
    """Tell the model something; what it is told in a row is one message, as some want it."""
    if messages[-1]["role"] != "user":
        messages.append({"role": "user", "content": content})
        return
    before = messages[-1]["content"]
    if isinstance(before, str) and isinstance(content, str):
        messages[-1] = {"role": "user", "content": f"{before}\n\n{content}"}
    else:
        messages[-1] = {"role": "user", "content": _parts(before) + _parts(content)}


def _hear(desk: Desk, messages: list[Message]) -> bool:
    """Tell the model what is new; return whether anything is."""
    news = desk.notifications()
    for kind, title in (("environment", "News of the apps:"), ("user", "Message of the user:")):
        of_kind = [each for each in news if each.kind == kind]
        if of_kind:
            say(messages, _with_images(f"{title}\n{news_text(of_kind)}", of_kind))
    return bool(news)


def _with_images(text: str, news: Sequence[Notification]) -> str | list[Message]:
    files = [file for each in news for file in each.attachments]
    urls = [
        f"data:{file['mime']};base64,{file['base64_data']}"
        for file in files
        if str(file.get("mime", "")).startswith("image/")
    ]
    images = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    return [*_parts(text), *images] if images else text


def _parts(content: str | list[Message]) -> list[Message]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def situation(desk: Desk) -> str:
    """Return what every model is told of where it is."""
    return SITUATION.format(now=text_of(desk.now, "%A, %Y-%m-%d %H:%M"))
