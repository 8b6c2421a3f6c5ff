"""Replies of a submitted model, by a command or a server of the user's."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import Any
from urllib.parse import urlsplit

from pytest_a2perf.domains.posttrain.tasks.configured_options import BackendOptions
from pytest_a2perf.errors import InfraError

__all__ = ["replies"]

_TRIES = 3
_TICK = 0.2  # seconds
_SHOWN = 300  # characters


def replies(
    options: BackendOptions, artefact: Path, prompts: Sequence[str], seed: int
) -> list[str]:
    """Return a reply to each prompt.

    Args:
        options: see `BackendOptions`.
        artefact: folder of the model.
        prompts: texts.
        seed: for sampling.

    Raises:
        InfraError: the command or the server fails.
    """
    bodies = [_body(options, prompt, seed) for prompt in prompts]
    if options.generate:
        return _generated(options, artefact, bodies, seed)
    with _served(options, artefact, seed) as url:
        model = options.model.replace("{artefact}", str(artefact))
        until = monotonic() + options.timeout

        def ask(body: dict[str, Any]) -> str:
            return _asked(options, url, {"model": model, **body}, until)

        with ThreadPoolExecutor(options.at_once) as pool:
            return list(pool.map(ask, bodies))


def _body(options: BackendOptions, prompt: str, seed: int) -> dict[str, Any]:
    """Return a request as OpenAI's interface has it."""
    settings = {
        "max_tokens": options.max_tokens,
        "temperature": options.temperature,
        "seed": seed,
    }
    if options.interface == "completions":
        return {"prompt": prompt, **settings}
    system = [{"role": "system", "content": options.system}] if options.system else []
    return {"messages": [*system, {"role": "user", "content": prompt}], **settings}


def _generated(
    options: BackendOptions, artefact: Path, bodies: list[dict[str, Any]], seed: int
) -> list[str]:
    command = [_filled(part, artefact, seed) for part in options.generate]
    lines = "".join(json.dumps({"id": i, **body}) + "\n" for i, body in enumerate(bodies))
    try:
        done = subprocess.run(  # noqa: S603 - the user's own
            command,
            input=lines.encode(),
            stdout=subprocess.PIPE,
            timeout=options.timeout,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InfraError(f"backend.generate: {error}") from error
    if done.returncode:
        raise InfraError(f"backend.generate: exit status {done.returncode}")
    texts: dict[int, str] = {}
    for number, line in enumerate(done.stdout.splitlines(), 1):
        try:
            reply = json.loads(line)
            texts[reply["id"]] = str(reply["text"])
        except (ValueError, KeyError, TypeError) as error:
            said = line[:_SHOWN].decode(errors="replace")
            raise InfraError(
                f'backend.generate: line {number}: expected {{"id": 0, "text": "..."}}: {said}'
            ) from error
    missing = [i for i in range(len(bodies)) if i not in texts]
    if missing:
        raise InfraError(f"backend.generate: no reply to request {missing[0]}")
    return [texts[i] for i in range(len(bodies))]


@contextmanager
def _served(options: BackendOptions, artefact: Path, seed: int) -> Iterator[str]:
    """Run the server, and yield its URL."""
    port = _free_port()
    url = options.url.replace("{port}", str(port))
    command = [_filled(part, artefact, seed).replace("{port}", str(port)) for part in options.serve]
    try:
        process = subprocess.Popen(  # noqa: S603 - the user's own
            command, stdin=subprocess.DEVNULL, start_new_session=True
        )
    except OSError as error:
        raise InfraError(f"backend.serve: {error}") from error
    try:
        until = monotonic() + options.starting
        while not _is_up(url):
            if process.poll() is not None:
                raise InfraError(f"backend.serve: ended with exit status {process.returncode}")
            if monotonic() > until:
                raise InfraError(f"backend.serve: no answer at {url} for {options.starting:g} s")
            sleep(_TICK)
        yield url
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _filled(part: str, artefact: Path, seed: int) -> str:
    return part.replace("{artefact}", str(artefact)).replace("{seed}", str(seed))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _is_up(url: str) -> bool:
    try:
        return _request(url, "GET", "/models", None, 5.0)[0] < 500
    except (OSError, http.client.HTTPException):
        return False


def _asked(options: BackendOptions, url: str, body: dict[str, Any], until: float) -> str:
    chat = options.interface == "chat"
    path = "/chat/completions" if chat else "/completions"
    why = "time is up"
    for _ in range(_TRIES):
        left = until - monotonic()
        if left <= 0:
            break
        try:
            status, text = _request(url, "POST", path, body, left)
            choice = json.loads(text)["choices"][0]
            return str((choice["message"]["content"] if chat else choice["text"]) or "")
        except (OSError, http.client.HTTPException) as error:
            why = f"{type(error).__name__}: {error}"
        except (ValueError, LookupError, TypeError):
            why = f"status {status}: {text[:_SHOWN].decode(errors='replace')}"
    raise InfraError(f"backend.serve: {url} gives no reply: {why}")


def _request(
    url: str, method: str, path: str, body: dict[str, Any] | None, seconds: float
) -> tuple[int, bytes]:
    """Ask without regard to the environment's proxies."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=seconds)
    try:
        data = None if body is None else json.dumps(body)
        connection.request(method, parts.path + path, data, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()
