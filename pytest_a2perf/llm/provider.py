"""One request to a model through litellm, and what its failure means."""

from __future__ import annotations

import contextlib
import copy
import email.utils
import logging
import os
import threading
import time
import warnings
from collections.abc import Mapping
from typing import Any, NamedTuple

from pytest_a2perf.errors import AgentError, InfraError
from pytest_a2perf.llm.answer import Answer
from pytest_a2perf.llm.errors import ConversationError
from pytest_a2perf.llm.secrets import redact, shown_url

__all__ = ["Prices", "Provider", "TransientError", "load_litellm", "quiet"]

_TRANSIENT = frozenset({408, 409, 425, 429})  # and whatever is 500 or more
_TOO_LARGE = 413
_OF_CONVERSATIONS = frozenset({"context_length_exceeded", "content_policy_violation"})
_OF_MESSAGE = ("role", "content", "tool_calls", "thinking_blocks")
_SHOWN = 500  # characters of a server's message


class TransientError(Exception):
    """The server is busy or fails, perhaps only now.

    Attributes:
        wait: seconds after which the server wants to be asked again, or None.
        error: what to raise when it is not asked again.
    """

    def __init__(self, error: InfraError, wait: float | None = None) -> None:
        super().__init__(str(error))
        self.error = error
        self.wait = wait


class Prices(NamedTuple):
    """Dollars for a million tokens."""

    prompt: float
    completion: float


class Provider:
    """Where a model is.

    Args:
        model: as litellm names it.
        api_base: URL of a server with OpenAI's interface; default: the provider's own.
        api_key_env: variable that holds the key; default: litellm's own for the provider.
        timeout: seconds that the server may be silent.
        prices: of the model; default: litellm's.
    """

    def __init__(
        self,
        model: str,
        *,
        api_base: str | None,
        api_key_env: str | None,
        timeout: float,
        prices: Prices | None,
    ) -> None:
        self._model = model
        self._api_base = api_base
        self._api_key_env = api_key_env
        self._timeout = timeout
        self._prices = prices
        self._where = f"model {model!r}" + (f" at {shown_url(api_base)}" if api_base else "")

    def ask(self, messages: list[dict[str, Any]], parameters: Mapping[str, Any]) -> Answer:
        """Ask once.

        Args:
            messages: of the conversation.
            parameters: further arguments of ``litellm.completion``.

        Raises:
            TransientError: it may be worth asking again.
            InfraError: the server refuses the key.
            ConversationError: the conversation is too long, or against the provider's policy.
            AgentError: the server refuses the request otherwise, as for an unknown model.
        """
        litellm = load_litellm()
        from openai import OpenAIError  # from which all of litellm's errors derive

        try:
            with quiet:
                start = time.perf_counter()
                response = litellm.completion(
                    model=self._model,
                    messages=copy.deepcopy(messages),  # of which it may change the parts
                    timeout=self._timeout,
                    max_retries=0,
                    drop_params=True,  # what a model does not know, as some the temperature
                    **self._access(),
                    **parameters,
                )
                seconds = time.perf_counter() - start
        except (litellm.ContextWindowExceededError, litellm.ContentPolicyViolationError) as error:
            raise ConversationError(self._say("refuses the conversation", error)) from None
        except (litellm.BadRequestError, litellm.NotFoundError) as error:
            if getattr(error, "code", None) in _OF_CONVERSATIONS:
                raise ConversationError(self._say("refuses the conversation", error)) from None
            raise AgentError(self._say("refuses the request", error)) from None
        except OpenAIError as error:
            raise self._failure(error) from None
        except (AttributeError, KeyError, TypeError, ValueError) as error:  # litellm over nonsense
            raise TransientError(InfraError(self._say("cannot be understood", error))) from None
        return self._answer(response, seconds)

    def _access(self) -> dict[str, Any]:
        """Return how the server is reached; the key must not outlive the call."""
        access: dict[str, Any] = {}
        if self._api_base is not None:
            access["api_base"] = self._api_base
        if self._api_key_env is not None:
            if not (key := os.environ.get(self._api_key_env)):
                raise AgentError(
                    f"{self._where}: api_key_env is {self._api_key_env!r}, but the environment has "
                    "no such variable"
                )
            access["api_key"] = key
        elif self._api_base is not None and not os.environ.get("OPENAI_API_KEY"):
            access["api_key"] = "none"  # servers of one's own ask for none, but the client does
        return access

    def _failure(self, error: Any) -> Exception:
        status = getattr(error, "status_code", None)
        failure = InfraError(self._say("does not answer", error))
        if status == _TOO_LARGE:
            return ConversationError(self._say("refuses the conversation", error))
        if "exceeded your current quota" in str(error):  # a 429 that no pause helps
            return failure
        if status is None or status in _TRANSIENT or status >= 500:
            return TransientError(failure, _wait(error))
        return failure

    def _answer(self, response: Any, seconds: float) -> Answer:
        try:
            choice = response.choices[0]
            message = choice.message.model_dump(exclude_none=True)
            message = {name: message[name] for name in _OF_MESSAGE if name in message}
            message.setdefault("content", None)
            for index, call in enumerate(message.get("tool_calls") or ()):
                call["id"] = call.get("id") or f"call_{index}"
                call["function"]["name"] = call["function"].get("name") or ""
            usage = getattr(response, "usage", None)
            prompt, completion = _count(usage, "prompt_tokens"), _count(usage, "completion_tokens")
            return Answer.of_message(
                message,
                prompt_tokens=prompt,
                completion_tokens=completion,
                cached_tokens=_count(usage, "prompt_tokens_details", "cached_tokens"),
                reasoning_tokens=_count(usage, "completion_tokens_details", "reasoning_tokens"),
                seconds=seconds,
                cost=self._cost(response, prompt, completion),
                finish=choice.finish_reason or "",
            )
        except (AttributeError, IndexError, KeyError, TypeError) as error:
            what = InfraError(f"{self._where} answers without a message ({type(error).__name__})")
            raise TransientError(what) from None

    def _cost(self, response: Any, prompt: int, completion: int) -> float | None:
        if prompt == 0:  # no prompt is empty: the server does not count
            return None
        if self._prices is not None:
            dollars = prompt * self._prices.prompt + completion * self._prices.completion
            return dollars / 1e6
        cost = None
        with contextlib.suppress(Exception):  # it raises for models that it does not know
            cost = load_litellm().completion_cost(response)
        # Some that it knows have a price of 0 for want of a better one.
        return float(cost) if cost else None

    def _say(self, what: str, error: Exception) -> str:
        message = redact(" ".join(str(error).split()))
        return f"{self._where} {what}: {message[:_SHOWN]}"


class _Quiet:
    """Hides litellm's own warnings, which strict filters would make errors.

    The filters belong to the process: what threads hide at the same time is shown again when the
    last of them is done.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._filters = warnings.catch_warnings()

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._filters = warnings.catch_warnings()
                self._filters.__enter__()
                warnings.simplefilter("ignore")
            self._inside += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._filters.__exit__(None, None, None)


quiet = _Quiet()
"""A ``with`` block around calls of litellm, whose warnings are not the user's."""


class _Redacting(logging.Filter):
    """Keeps keys out of logs: servers repeat those that they refuse, and litellm logs that."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = redact(record.getMessage()), None
        if record.exc_info:
            record.exc_text = redact(logging.Formatter().formatException(record.exc_info))
            record.exc_info = None
        return True


_redacting = _Redacting()


def load_litellm() -> Any:
    """Import litellm, which takes seconds.

    Raises:
        AgentError: it is not installed.
    """
    # Else litellm asks GitHub for its table of prices when it is imported.
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    with quiet:
        try:
            import litellm
        except ModuleNotFoundError as error:
            if error.name != "litellm":
                raise
            raise AgentError("language models need litellm: pip install litellm") from None
    litellm.suppress_debug_info = True
    for name in ("LiteLLM", "openai._base_client"):
        logging.getLogger(name).addFilter(_redacting)  # adds it once
    return litellm


def _count(usage: Any, *path: str) -> int:
    for name in path:
        usage = getattr(usage, name, None)
    return int(usage or 0)


def _wait(error: Any) -> float | None:
    """Return what a server's Retry-After says, in seconds from now."""
    headers = getattr(error, "litellm_response_headers", None)
    if headers is None:
        headers = getattr(getattr(error, "response", None), "headers", None)
    said = (headers or {}).get("retry-after")
    if said is None:
        return None
    try:
        return max(0.0, float(said))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(said).timestamp() - time.time())
    except ValueError:
        return None
