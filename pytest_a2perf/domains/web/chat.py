"""A language model behind litellm: one answer at a time, counted."""

from __future__ import annotations

import contextlib
import os
import warnings
from typing import Any

from pytest_a2perf.errors import AgentError, InfraError

__all__ = ["Chat"]


class Chat:
    """Asks a model. Keys come from the environment only, as litellm finds them.

    Args:
        model: as litellm names it, e.g. ``openai/gpt-4o-mini``; with ``api_base`` the name after
            ``openai/`` is whatever that server calls it.
        api_base: URL of a server with OpenAI's interface; default: the provider's own.
        temperature: of sampling.
        max_tokens: of an answer.
        timeout: seconds that an answer may take.
        max_retries: further attempts, ever later, where the server is busy or fails.

    Attributes:
        usage: ``calls``, ``prompt_tokens`` and ``completion_tokens`` so far.
        cost: of them in dollars, by litellm's table; None for a model that it has no prices of.
    """

    def __init__(
        self,
        model: str,
        api_base: str | None = None,
        *,
        temperature: float = 0.0,
        max_tokens: int = 512,
        timeout: float = 60.0,
        max_retries: int = 3,
    ) -> None:
        self.usage = {"calls": 0, "prompt_tokens": 0, "completion_tokens": 0}
        self.cost: float | None = 0.0
        self._where = f"model {model!r}" + (f" at {api_base}" if api_base else "")
        self._settings: dict[str, Any] = {
            "model": model,
            "temperature": temperature,
            "max_tokens": max_tokens,
            "timeout": timeout,
            "max_retries": max_retries,
            "drop_params": True,  # what a model does not know, as some the temperature
        }
        if api_base is not None:
            # Servers of one's own ask for no key, but the client for one does.
            key = os.environ.get("OPENAI_API_KEY") or "none"
            self._settings |= {"api_base": api_base, "api_key": key}
        # Else litellm asks GitHub for its table of prices when it is imported.
        os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its own, which strict filters would make errors
            import litellm
        litellm.suppress_debug_info = True
        self._litellm = litellm

    def ask(self, messages: list[dict[str, str]]) -> str:
        """Return the model's answer.

        Args:
            messages: each with ``role`` and ``content``, as OpenAI's interface has them.

        Raises:
            InfraError: the server cannot be reached, is busy, fails or refuses the key.
            AgentError: the server refuses the request itself, such as an unknown model.
        """
        from openai import OpenAIError  # from which all of litellm's errors derive

        litellm = self._litellm
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                answer = litellm.completion(messages=messages, **self._settings)
        except (litellm.BadRequestError, litellm.NotFoundError) as error:
            raise AgentError(self._say("refuses the request", error)) from None
        except OpenAIError as error:
            raise InfraError(self._say("does not answer", error)) from None
        self.usage["calls"] += 1
        usage = getattr(answer, "usage", None)
        for name in ("prompt_tokens", "completion_tokens"):
            self.usage[name] += getattr(usage, name, None) or 0
        self._charge(answer)
        return str(answer.choices[0].message.content or "")

    def _charge(self, answer: Any) -> None:
        """Add an answer's price; without one, the sum would be too low."""
        price = None
        with contextlib.suppress(Exception):  # it raises for models that it does not know
            price = self._litellm.completion_cost(answer)
        self.cost = None if price is None or self.cost is None else self.cost + float(price)

    def _say(self, what: str, error: Exception) -> str:
        message = " ".join(str(error).split())
        for name, value in os.environ.items():
            if name.endswith("_API_KEY") and len(value) > 4:
                message = message.replace(value, f"${name}")
        return f"{self._where} {what}: {message[:500]}"
