"""A language model that answers, however often it must be asked, and counts what that takes."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pytest_a2perf.errors import AgentError, InfraError
from pytest_a2perf.llm.answer import Answer, Totals
from pytest_a2perf.llm.cassette import Cassette, Request
from pytest_a2perf.llm.provider import Prices, Provider, TransientError
from pytest_a2perf.llm.secrets import is_secret

__all__ = ["ChatModel"]

_FIRST_PAUSE = 0.5  # seconds, doubled from try to try
_LONGEST_PAUSE = 60.0


class ChatModel:
    """Asks a model through litellm. Keys come from the environment only.

    Args:
        model: as litellm names it, e.g. ``openai/gpt-4o-mini``; with ``api_base`` the name after
            ``openai/`` is whatever that server calls it.
        api_base: URL of a server with OpenAI's interface; default: the provider's own.
        api_key_env: name of the variable that holds the key, where it is not the provider's usual.
        temperature: of sampling; default: the provider's, as for the following.
        seed: of sampling, where the provider knows one.
        max_tokens: of an answer.
        reasoning_effort: e.g. ``low``, for models that reason.
        extra: further parameters of ``litellm.completion``, e.g. ``{"top_p": 0.9}``.
        timeout: seconds that the server may be silent.
        max_retries: further tries, ever later, where the server is busy or fails.
        patience: seconds that all tries for one answer may take together.
        prices: dollars for a million tokens of prompts and of completions; default: litellm's.
        cassette: keeps answers, or has them.

    Attributes:
        model: its name.
        totals: of all answers so far.
        answers: all of them.

    Raises:
        AgentError: ``extra`` holds what may be a key, or what has a parameter of its own.
    """

    def __init__(
        self,
        model: str,
        *,
        api_base: str | None = None,
        api_key_env: str | None = None,
        temperature: float | None = None,
        seed: int | None = None,
        max_tokens: int | None = None,
        reasoning_effort: str | None = None,
        extra: Mapping[str, Any] | None = None,
        timeout: float = 60.0,
        max_retries: int = 8,
        patience: float = 300.0,
        prices: Sequence[float] | None = None,
        cassette: Cassette | None = None,
    ) -> None:
        own = {
            "temperature": temperature,
            "seed": seed,
            "max_tokens": max_tokens,
            "reasoning_effort": reasoning_effort,
        }
        self.model = model
        self.totals = Totals()
        self.answers: list[Answer] = []
        self._parameters = {name: value for name, value in own.items() if value is not None}
        self._parameters |= _checked(extra or {}, own)
        self._provider = Provider(
            model,
            api_base=api_base,
            api_key_env=api_key_env,
            timeout=timeout,
            prices=None if prices is None else Prices(*prices),
        )
        self._max_retries = max_retries
        self._patience = patience
        self._cassette = cassette
        self._lock = threading.Lock()
        self._jitter = random.Random()  # the trial's own generator must not notice

    def complete(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        tools: Sequence[Mapping[str, Any]] | None = None,
        stop: Sequence[str] | None = None,
    ) -> Answer:
        """Return the model's answer.

        Args:
            messages: of the conversation, in OpenAI's format.
            tools: that the model may call, as functions in OpenAI's format.
            stop: texts before which the answer ends; the first of them is cut off here, too, as
                not every server knows them.

        Raises:
            InfraError: the server cannot be reached, is busy, fails or refuses the key.
            ConversationError: the conversation is too long, or against the provider's policy.
            AgentError: the server refuses the request otherwise, as for an unknown model.
            CassetteError: the answer should be replayed, and is not there.
        """
        asked = [dict(message) for message in messages]
        parameters = self._parameters | ({"stop": list(stop)} if stop else {})
        functions = [dict(tool) for tool in tools or ()]
        if self._cassette is None:
            answer = self._live(asked, functions, parameters)
        else:
            answer = self._cassette.answer(
                Request(self.model, asked, functions, parameters),
                lambda: self._live(asked, functions, parameters),
            )
        with self._lock:
            self.totals.add(answer)
            self.answers.append(answer)
        return _cut(answer, stop or ())

    def _live(
        self,
        messages: list[dict[str, Any]],
        tools: list[dict[str, Any]],
        parameters: Mapping[str, Any],
    ) -> Answer:
        """Ask until there is an answer, or nobody has the patience."""
        if tools:
            parameters = {**parameters, "tools": tools}
        end = time.monotonic() + self._patience
        for tries in range(self._max_retries + 1):
            try:
                return self._provider.ask(messages, parameters)
            except TransientError as error:
                failed = error
            pause = self._pause(tries) if failed.wait is None else failed.wait
            if tries == self._max_retries:
                raise _given_up(failed, tries + 1)
            if time.monotonic() + pause > end:
                raise _given_up(failed, tries + 1, f"; the next would be in {pause:.0f} s")
            with self._lock:
                self.totals.retries += 1
            time.sleep(pause)
        raise AssertionError

    def _pause(self, tries: int) -> float:
        pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0**tries)
        return pause * self._jitter.uniform(0.5, 1.0)  # or all that failed come back at once


def _checked(extra: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    for name in extra:
        if is_secret(name):
            raise AgentError(
                f"extra.{name}: keys are not taken from scenarios; put them into the environment, "
                "and name the variable by api_key_env if it is not the provider's usual"
            )
        if name in {*own, "model", "messages", "tools", "stop", "stream", "api_base", "timeout"}:
            raise AgentError(f"extra.{name}: this is no extra parameter; leave it out of extra")
    return dict(extra)


def _given_up(failed: TransientError, tries: int, why: str = "") -> InfraError:
    times = "1 try" if tries == 1 else f"{tries} tries"
    return InfraError(f"{failed.error} ({times}{why})")


def _cut(answer: Answer, stop: Sequence[str]) -> Answer:
    ends = [end for text in stop if (end := answer.text.find(text)) >= 0]
    if not ends:
        return answer
    text = answer.text[: min(ends)]
    return replace(answer, text=text, message=answer.message | {"content": text})
