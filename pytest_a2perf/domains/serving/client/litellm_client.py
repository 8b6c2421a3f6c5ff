"""The client of whatever litellm reaches: the slower path.

Each chunk passes through litellm's own objects, which takes some hundred microseconds. Above a few
dozen streams the client becomes the limit, which the self-check then says. A stream that was cut
short looks complete, because litellm then makes up a reason to finish.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from pytest_a2perf.domains.serving.client.answer import Answer, Failure
from pytest_a2perf.domains.serving.client.codec import loads
from pytest_a2perf.domains.serving.client.connection import Limits
from pytest_a2perf.domains.serving.client.endpoint import Endpoint
from pytest_a2perf.domains.serving.client.exchange import Ended
from pytest_a2perf.domains.serving.client.tally import RefusedError, Tally, read_chat
from pytest_a2perf.domains.serving.client.target import key_of

__all__ = ["LiteLLMClient"]

_SHOWN = 300  # characters of an error
# Members that litellm only passes on when they are not its own.
_FOREIGN = ("ignore_eos", "min_tokens")


class LiteLLMClient:
    """Carries one request at a time; its exchanges are complete when they end.

    Args:
        endpoint: whose model litellm knows, such as ``anthropic/claude-haiku-4-5``.
        limits: see `Limits`.
        count: counts tokens of text where the server does not.
        scrub: takes keys out of a text.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        limits: Limits,
        count: Callable[[str], int] | None,
        scrub: Callable[[str], str],
    ) -> None:
        self._endpoint = endpoint
        self._limits = limits
        self._count = count
        self._scrub = scrub
        self._task: asyncio.Task[Answer] | None = None

    def prepare(self) -> None:
        """Do nothing: litellm keeps connections of its own."""

    async def open(self) -> None:
        """Import litellm, which takes seconds."""
        from pytest_a2perf.llm.provider import load_litellm

        load_litellm()

    def send(self, body: bytes, ended: Ended) -> None:
        """Begin a request, see `Client.send`."""
        self._task = asyncio.get_running_loop().create_task(self.request(body))
        self._task.add_done_callback(lambda task: ended(_Done(task.result())))

    def close(self) -> None:
        """End a request that is under way."""
        if self._task is not None:
            self._task.cancel()

    async def request(self, body: bytes) -> Answer:
        """Make a request and return what came of it."""
        answer = Answer(sent=time.monotonic())
        tally = Tally(answer, texts=self._count is not None)
        try:
            async with asyncio.timeout(self._limits.longest):
                from pytest_a2perf.llm.provider import quiet

                with quiet:
                    await self._stream(tally, self._parameters(body))
        except RefusedError as error:
            self._fail(answer, "refused", str(error))
        except asyncio.CancelledError:
            self._fail(answer, "cancelled", "ended by the client")
        except _StalledError:
            self._fail(answer, "stalled", f"nothing came for {self._limits.stall:g} s")
        except TimeoutError:
            longest = self._limits.longest
            self._fail(answer, "cancelled", f"the reply took longer than {longest:g} s")
        except Exception as error:  # noqa: BLE001 - litellm raises whatever its providers do
            answer.status = int(getattr(error, "status_code", None) or 0)
            known = answer.status >= 400 and "connection" not in type(error).__name__.lower()
            self._fail(answer, "status" if known else "connect", str(error))
        else:
            if not answer.finish:
                self._fail(answer, "cut", "the stream ended without a reason to finish")
            answer.status = 200
        answer.ended = time.monotonic()
        tally.finish(self._count)
        return answer

    async def _stream(self, tally: Tally, parameters: dict[str, Any]) -> None:
        from pytest_a2perf.llm.provider import load_litellm

        litellm = load_litellm()
        tally.answer.sent = time.monotonic()
        stream = await self._heard(litellm.acompletion(**parameters))
        chunks = aiter(stream)
        while (chunk := await self._heard(anext(chunks, None))) is not None:
            read_chat(tally, chunk.model_dump(exclude_none=True), time.monotonic())

    async def _heard(self, coming: Any) -> Any:
        """Wait for something, but not for longer than silence may last."""
        silence = asyncio.timeout(self._limits.stall)
        try:
            async with silence:
                return await coming
        except TimeoutError:
            if silence.expired():
                raise _StalledError from None
            raise

    def _parameters(self, body: bytes) -> dict[str, Any]:
        parameters: dict[str, Any] = loads(body)
        foreign = {name: parameters.pop(name) for name in _FOREIGN if name in parameters}
        if foreign:
            parameters["extra_body"] = foreign
        if self._endpoint.url:
            parameters["api_base"] = self._endpoint.url
        if key := key_of(self._endpoint) or ("none" if self._endpoint.url else ""):
            parameters["api_key"] = key
        if self._endpoint.headers:
            parameters["extra_headers"] = dict(self._endpoint.headers)
        return {**parameters, "max_retries": 0, "timeout": self._limits.longest}

    def _fail(self, answer: Answer, failure: Failure, error: str) -> None:
        answer.failure = failure
        answer.error = self._scrub(" ".join(error.split()))[:_SHOWN]


class _StalledError(Exception):
    """Nothing came for too long."""


class _Done:
    """An exchange that is complete."""

    brief = True

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.ended = answer.ended

    def step(self) -> bool:
        return True
