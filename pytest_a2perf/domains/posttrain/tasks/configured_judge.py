"""A judge that is asked where the evaluator runs: through its proxy, which has the key."""

from __future__ import annotations

import http.client
import json
import os
import threading
import time
from pathlib import Path

from pytest_a2perf.domains.posttrain.grading.sockets import connect
from pytest_a2perf.domains.posttrain.tasks.configured import JUDGE
from pytest_a2perf.domains.posttrain.tasks.configured_options import JudgeOptions
from pytest_a2perf.errors import InfraError

__all__ = ["Judge", "RefusedError"]

_TRIES = 4
_PAUSE = 1.0  # seconds, doubled each time
_SILENCE = 600.0
_TRANSIENT = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
_OF_TEXT = frozenset({400, 413, 422})
_SHOWN = 300  # characters


class RefusedError(Exception):
    """The judge refuses this very text."""


class Judge:
    """Asks a judge; several threads may at once.

    Args:
        options: see `JudgeOptions`.

    Raises:
        InfraError: nobody has started a proxy for it.
    """

    def __init__(self, options: JudgeOptions) -> None:
        self._options = options
        place = os.environ.get(JUDGE, "")
        if not place:
            raise InfraError(f"judge: the evaluator's environment lacks {JUDGE}, its socket")
        self._place = Path(place)
        self._lock = threading.Lock()
        self.calls = 0

    def ask(self, prompt: str, max_tokens: int = 16) -> str:
        """Return the judge's answer.

        Raises:
            RefusedError: the judge refuses this text, e.g. by a filter.
            InfraError: it does not answer at all.
        """
        body = json.dumps(
            {
                "model": self._options.model,
                "messages": [{"role": "user", "content": prompt}],
                "max_tokens": max_tokens,
                "temperature": 0,
            }
        )
        pause, why = _PAUSE, ""
        for attempt in range(_TRIES):
            if attempt:
                time.sleep(pause)
                pause *= 2
            try:
                status, text = self._asked(body)
            except (OSError, http.client.HTTPException) as error:
                why = f"{type(error).__name__}: {error}"
                continue
            why = f"status {status}: {text[:_SHOWN].decode(errors='replace')}"
            if status in _OF_TEXT:
                raise RefusedError(why)
            if status not in _TRANSIENT:
                break
        else:
            raise InfraError(f"judge: no answer: {why}")
        try:
            message = json.loads(text)["choices"][0]["message"]
            return str(message.get("content") or "")
        except (ValueError, LookupError, TypeError, AttributeError):
            raise InfraError(f"judge: {why}") from None

    def _asked(self, body: str) -> tuple[int, bytes]:
        with self._lock:
            self.calls += 1
        connection = http.client.HTTPConnection("judge")
        connection.sock = connect(self._place.parent, _SILENCE, self._place.name)
        try:
            headers = {"Content-Type": "application/json"}
            connection.request("POST", "/v1/chat/completions", body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()
