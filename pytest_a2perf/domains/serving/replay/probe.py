"""Asking an endpoint, before any load, whether it can be measured at all."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from pytest_a2perf.domains.serving.client.answer import Answer
from pytest_a2perf.domains.serving.client.body import BodyMaker
from pytest_a2perf.domains.serving.client.codec import loads
from pytest_a2perf.domains.serving.client.connection import Limits
from pytest_a2perf.domains.serving.client.connector import connector
from pytest_a2perf.domains.serving.client.counter import token_counter
from pytest_a2perf.domains.serving.client.endpoint import Endpoint
from pytest_a2perf.domains.serving.client.framing import Framing, FramingError
from pytest_a2perf.domains.serving.client.target import target_of
from pytest_a2perf.domains.serving.replay.plan import Output
from pytest_a2perf.domains.serving.trajectories.models import Session, Turn
from pytest_a2perf.errors import AgentError, InfraError
from pytest_a2perf.llm.secrets import shown_url

__all__ = ["PROBE_LIMITS", "Probe", "probe"]

T = TypeVar("T")

PROBE_LIMITS = Limits(connect=10.0, stall=180.0, longest=300.0)
"""The first request may find a cold server: graphs are captured, weights are loaded."""

_FREE, _FORCED, _TURN = 32, 64, 16  # tokens of the probes' replies
_PIECE = 8  # tokens that a stream does not send at once
_MOST_LIST = 1 << 20  # bytes of it
_PATH = re.compile(r"/(chat/completions|completions|responses)$")
_LENGTHS = ("max_model_len", "context_length", "context_window", "max_context_length")


@dataclass(frozen=True, slots=True)
class Probe:
    """What is known of an endpoint that can be measured.

    Attributes:
        model: that requests are to carry: the endpoint's, or the only one that the server has.
        answer: to the last request of the probe.
        models: that the server lists; empty if it does not.
        context: tokens that prompt and reply may have together; None if the server does not tell.
        cached: the server reports how much of a prompt its cache held.
        forced: lengths of replies can be forced; None: nobody asked.
        notes: what reports should say.
    """

    model: str
    answer: Answer
    models: tuple[str, ...] = ()
    context: int | None = None
    cached: bool = False
    forced: bool | None = None
    notes: tuple[str, ...] = field(default=())


def probe(
    endpoint: Endpoint,
    session: Session | None = None,
    *,
    output: Output = "free",
    tokenizer: str = "",
    limits: Limits = PROBE_LIMITS,
    listing: float = 10.0,
) -> Probe:
    """Make one or two small requests, which do not count, and read what they tell.

    Args:
        endpoint: to be asked; its model may be empty if the server has only one.
        session: whose first turn is asked as well, so that a server which does not take its tools
            or its length says so now.
        output: policy of the load; ``exact`` and ``fixed`` need a server that honours ignore_eos.
        tokenizer: that counts tokens where the server does not; "" for none.
        limits: of each request; generous, as the first may be slow.
        listing: seconds that the list of models may take, which is not needed.

    Raises:
        InfraError: the endpoint is down, overloaded or broken.
        AgentError: it cannot be measured as the scenario says; the message says what to change.
    """
    forces = output in ("exact", "fixed")
    if forces and not endpoint.ignore_eos:
        raise AgentError(
            f"output = {output!r} forces the length of replies, but the endpoint is declared "
            "without ignore_eos; take output = 'recorded' or 'free'"
        )
    listed = _run(_models(endpoint, listing))
    endpoint = replace(endpoint, model=_chosen(endpoint, tuple(listed)))
    wanted = _FORCED if forces else _FREE
    asker = _Asker(endpoint, limits, tokenizer, tuple(listed))
    answer = asker.ask(_question(forces), wanted, forces)
    _check_stream(asker.shown, answer)
    if not tokenizer and answer.counted != "server":
        raise AgentError(
            f"{asker.shown} does not report usage, so that nobody counts its tokens: have the "
            "server do it, or name the model's tokenizer.json as tokenizer"
        )
    if forces and (answer.finish != "length" or answer.output_tokens != wanted):
        raise AgentError(
            f"output = {output!r} forces the length of replies, but {asker.shown} does not honour "
            f"ignore_eos: asked for {wanted} tokens it gave {answer.output_tokens} (finish "
            f"{answer.finish!r}); take output = 'recorded' or 'free'"
        )
    notes = []
    if answer.counted != "server":
        notes.append("the server reports no usage: tokens are counted by a tokenizer")
    cached = answer.cached_tokens >= 0
    if session is not None:
        answer = asker.ask(session, _TURN, force=False)
        cached |= answer.cached_tokens >= 0
    if not cached:
        notes.append("the server does not report how much of a prompt its cache held")
    return Probe(
        endpoint.model,
        answer,
        tuple(listed),
        _context(listed.get(endpoint.model, {})),
        cached,
        True if forces else None,
        tuple(notes),
    )


def _run(work: Coroutine[Any, Any, T]) -> T:
    # A loop of its own: asyncio.run would take away the one that somebody else may have set.
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        return runner.run(work)


class _Asker:
    """Makes requests one by one, each over a new connection, and explains those that fail."""

    def __init__(
        self, endpoint: Endpoint, limits: Limits, tokenizer: str, models: tuple[str, ...]
    ) -> None:
        self.shown = shown_url(endpoint.url) or f"litellm's {endpoint.model}"
        self._endpoint = endpoint
        self._limits = limits
        self._count = token_counter(tokenizer)
        self._models = models

    def ask(self, session: Session, wanted: int, force: bool) -> Answer:
        """Ask the first turn of a session.

        Raises:
            InfraError: see `probe`.
            AgentError: see `probe`.
        """
        body = BodyMaker(self._endpoint, session).body(session.turns[0], wanted, force)
        answer = _run(self._request(body))
        if answer.failure:
            name = f" (the first turn of session {session.id!r})" if session.id else ""
            raise self._explained(answer, name, force)
        return answer

    async def _request(self, body: bytes) -> Answer:
        client = connector(self._endpoint, self._limits, count=self._count)()
        try:
            await client.open()
            return await client.request(body)
        finally:
            client.close()

    def _explained(self, answer: Answer, name: str, force: bool) -> Exception:
        told = f"{self.shown}{name}: {answer.error}"
        match answer.failure, answer.status:
            case "connect", _:
                return InfraError(f"{told}; is the server running, and is this its address?")
            case "stalled" | "cancelled", _:
                return InfraError(f"{told}; the server takes requests, but does not answer them")
            case "malformed", _:
                return AgentError(
                    f"{told}; is it an endpoint of OpenAI's interface {self._endpoint.api!r}?"
                )
            case "status", 401 | 403:
                return AgentError(
                    f"{told}; key_env has to name the environment variable that holds its key"
                )
            case "status", 404:
                known = f"it serves {', '.join(self._models)}" if self._models else (
                    "the base of the URL usually ends in /v1"
                )  # fmt: skip
                return AgentError(
                    f"{told}; either the path or the model {self._endpoint.model!r} is unknown: "
                    f"{known}"
                )
            case "status", status if status == 429 or status >= 500:
                return InfraError(told)
            case "status", _:
                hint = "; if it does not know ignore_eos, output = 'recorded' or 'free' may work"
                return AgentError(f"{told}{hint if force else ''}")
        return InfraError(told)


def _question(short: bool) -> Session:
    """Return a question whose answer is short, or long enough to be streamed."""
    text = "Reply with the single word: yes" if short else "Count from one to fifty in words."
    return Session("", ({"role": "user", "content": text},), (Turn((0,)),))


def _check_stream(shown: str, answer: Answer) -> None:
    if answer.chunks < 1:
        raise AgentError(f"{shown} sent a reply without any text")
    if answer.chunks == 1 and answer.output_tokens >= _PIECE:
        raise AgentError(
            f"{shown} sent its reply of {answer.output_tokens} tokens in one piece: it does not "
            "stream, or something between here and there collects what it sends"
        )


def _chosen(endpoint: Endpoint, listed: tuple[str, ...]) -> str:
    if endpoint.model:
        return endpoint.model
    if len(listed) == 1:
        return listed[0]
    known = f"one of {', '.join(listed)}" if listed else "the server does not list any"
    raise AgentError(f"{shown_url(endpoint.url)}: name the model to be asked: {known}")


async def _models(endpoint: Endpoint, seconds: float) -> dict[str, Mapping[str, Any]]:
    """Return what a server tells of its models, by name; nothing if it does not."""
    if endpoint.api == "litellm":
        return {}
    target = target_of(endpoint)
    first, *headers, _ = target.head.decode("utf-8").split("\r\n")
    path, mark, query = first.split(" ")[1].partition("?")
    request = [f"GET {_PATH.sub('/models', path)}{mark}{query} HTTP/1.1", *headers, "", ""]
    framing, body, writer = Framing(), b"", None
    try:
        async with asyncio.timeout(seconds):
            reader, writer = await asyncio.open_connection(target.host, target.port, ssl=target.tls)
            writer.write("\r\n".join(request).encode())
            while not framing.done and len(body) < _MOST_LIST:
                if not (data := await reader.read(1 << 16)):
                    framing.close()
                    break
                body += framing.feed(data)
        if framing.done and framing.status in (401, 403) and not endpoint.model:
            raise AgentError(
                f"{shown_url(endpoint.url)}: status {framing.status} for the list of models; "
                "key_env has to name the environment variable that holds its key"
            )
        told = loads(body)["data"] if framing.done and framing.status == 200 else []
        return {str(one["id"]): one for one in told}
    except OSError as error:
        # Without a name for the model there is nothing else to ask for.
        if writer is None and not endpoint.model:
            shown = shown_url(endpoint.url)
            raise InfraError(
                f"{shown}: no connection: {error}; is the server running, and is this its address?"
            ) from None
        return {}
    except (FramingError, ValueError, RecursionError, KeyError, TypeError):
        return {}
    finally:
        if writer is not None:
            writer.close()


def _context(model: Mapping[str, Any]) -> int | None:
    lengths = (model.get(name) for name in _LENGTHS)
    return next((length for length in lengths if isinstance(length, int) and length > 0), None)
