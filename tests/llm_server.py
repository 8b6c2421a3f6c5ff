"""A server with OpenAI's interface whose answers are scripted."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

USAGE = {
    "prompt_tokens": 100,
    "completion_tokens": 7,
    "total_tokens": 107,
    "prompt_tokens_details": {"cached_tokens": 40},
    "completion_tokens_details": {"reasoning_tokens": 3},
}


@dataclass
class Reply:
    """An answer of the model; ``calls`` are pairs of a tool and its arguments, as text or not."""

    text: str | None = None
    calls: list[tuple[str, Any]] = field(default_factory=list)
    usage: dict[str, Any] | None = field(default_factory=lambda: USAGE)
    finish: str | None = None
    more: dict[str, Any] = field(default_factory=dict)


@dataclass
class Raw:
    """An answer of the server, below the model's."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    announced: int | None = None  # bytes, where it is not what is sent


class Hang:
    """The server takes a request and never answers."""


GARBAGE = Raw(body=b"\x00\xff nothing that anybody could read")
TRUNCATED = Raw(body=b'{"id": "1", "object": "chat.completion", "choices": [{"index": 0, "mess')
CUT_OFF = Raw(body=b'{"id": "1", "object": "chat.compl', announced=500)
HTML = Raw(body=b"<html><h1>It works!</h1></html>", headers={"Content-Type": "text/html"})
NO_CHOICES = Raw(body=b'{"id": "1", "object": "chat.completion", "choices": []}')
Entry = str | tuple[int, dict[str, str]] | Reply | Raw | Hang | Callable[[list[Any]], Any]


def call(tool: str, /, **arguments: Any) -> Reply:
    """Return a reply that calls one tool."""
    return Reply(calls=[(tool, arguments)])


class LlmServer:
    """Answers with the next of ``script``: a text, a status with headers, or one of the above.

    When the script is over its last entry is repeated. A callable gets the messages of the request
    and returns any of the others.

    Attributes:
        url: of its interface, for ``api_base``.
        asked: the requests so far.
        keys: their ``Authorization``.
    """

    def __init__(self, *script: Entry) -> None:
        self.script = list(script)
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self._lock = threading.Lock()
        self._closing = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                entry = server._next(request, self.headers["Authorization"])
                if isinstance(entry, Hang):
                    server._closing.wait(60)
                    return
                raw = _raw(request, entry)
                self.send_response(raw.status)
                for name, value in {"Content-Type": "application/json", **raw.headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(raw.announced or len(raw.body)))
                self.end_headers()
                self.wfile.write(raw.body)

            def log_message(self, *values):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.daemon = True
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"

    def close(self) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _next(self, request: dict[str, Any], key: str | None) -> Any:
        with self._lock:
            self.asked.append(request)
            self.keys.append(key)
            entry = self.script.pop(0) if len(self.script) > 1 else self.script[0]
            return entry(request["messages"]) if callable(entry) else entry


def _raw(request: dict[str, Any], entry: Any) -> Raw:
    if isinstance(entry, Raw):
        return entry
    if isinstance(entry, tuple):
        status, headers = entry
        error = {"message": f"scripted {status}", "type": "scripted", "code": str(status)}
        return Raw(status, json.dumps({"error": error}).encode(), headers)
    reply = Reply(entry) if isinstance(entry, str) else entry
    if request.get("stream"):
        body = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in _chunks(request, reply))
        body += "data: [DONE]\n\n"
        return Raw(body=body.encode(), headers={"Content-Type": "text/event-stream"})
    return Raw(body=json.dumps(_completion(request, reply)).encode())


def _head(request: dict[str, Any], what: str) -> dict[str, Any]:
    return {"id": "1", "object": what, "created": 0, "model": request["model"]}


def _calls(request: dict[str, Any], reply: Reply) -> list[dict[str, Any]]:
    turn = len(request["messages"])
    return [
        {
            "id": f"call_{turn}_{number}",
            "type": "function",
            "function": {
                "name": name,
                "arguments": given if isinstance(given, str) else json.dumps(given),
            },
        }
        for number, (name, given) in enumerate(reply.calls)
    ]


def _finish(reply: Reply) -> str:
    return reply.finish or ("tool_calls" if reply.calls else "stop")


def _completion(request: dict[str, Any], reply: Reply) -> dict[str, Any]:
    message = {"role": "assistant", "content": reply.text, **reply.more}
    if reply.calls:
        message["tool_calls"] = _calls(request, reply)
    choice = {"index": 0, "message": message, "finish_reason": _finish(reply)}
    usage = {} if reply.usage is None else {"usage": reply.usage}
    return {**_head(request, "chat.completion"), "choices": [choice], **usage}


def _chunks(request: dict[str, Any], reply: Reply) -> list[dict[str, Any]]:
    """Return the answer in pieces: texts by the word, arguments in halves, usage at the end."""
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": piece} for piece in (reply.text or "").split(" ")]
    deltas[2:] = [{"content": f" {delta['content']}"} for delta in deltas[2:]]
    for index, tool_call in enumerate(_calls(request, reply)):
        text = tool_call["function"]["arguments"]
        half = len(text) // 2
        first = {**tool_call, "function": {**tool_call["function"], "arguments": text[:half]}}
        deltas.append({"tool_calls": [{"index": index, **first}]})
        rest = {"index": index, "function": {"arguments": text[half:]}}
        deltas.append({"tool_calls": [rest]})
    choices = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    choices.append({"index": 0, "delta": {}, "finish_reason": _finish(reply)})
    head = _head(request, "chat.completion.chunk")
    chunks = [{**head, "choices": [choice]} for choice in choices]
    if reply.usage is not None:
        chunks.append({**head, "choices": [], "usage": reply.usage})
    return chunks
