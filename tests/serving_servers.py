"""A server whose replies are scripted to the byte, with what each request carried."""

import contextlib
import json
import socket
import struct
import threading
import time
from dataclasses import dataclass

CLOSE = "close"
RESET = "reset"
HANG = "hang"
USAGE = {
    "prompt_tokens": 100,
    "completion_tokens": 3,
    "prompt_tokens_details": {"cached_tokens": 40},
    "completion_tokens_details": {
        "reasoning_tokens": 1,
        "accepted_prediction_tokens": 5,
        "rejected_prediction_tokens": 2,
    },
}


@dataclass
class Request:
    """What came: ``connection`` is the number of the connection that it came over."""

    head: str
    body: bytes
    connection: int
    at: float

    @property
    def data(self):
        return json.loads(self.body)

    @property
    def headers(self):
        lines = self.head.split("\r\n")[1:]
        return {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}


class ScriptedServer:
    """Plays an entry of the script for each request; the last one again and again.

    An entry is bytes or a list of: bytes, which are sent at once; seconds to wait; CLOSE (the
    connection), RESET it, or HANG (send nothing more). A callable gets the request and returns one.
    """

    def __init__(self, *script, tls=None):
        self.tls = tls  # context of a server
        self.script = list(script)
        self.requests = []
        self.connections = 0
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._open = []
        self._threads = []

    def __enter__(self):
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        scheme = "http" if self.tls is None else "https"
        self.url = f"{scheme}://127.0.0.1:{self.port}/v1"
        self._start(self._accept)
        self._accepting = self._threads[0]
        return self

    def __exit__(self, *error):
        self._over.set()
        self._end(self._socket)
        self._accepting.join(60)  # nothing more is opened
        for one in self._open:
            self._end(one)
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive()

    def _end(self, one):
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
        one.close()

    def _start(self, work, *args):
        thread = threading.Thread(target=work, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self):
        while not self._over.is_set():
            try:
                one, _ = self._socket.accept()
            except OSError:
                return
            self._open.append(one)
            self.connections += 1
            self._start(self._serve, one, self.connections)

    def _serve(self, raw, number):
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with raw, contextlib.suppress(OSError):  # the client has gone
            one = raw if self.tls is None else self.tls.wrap_socket(raw, server_side=True)
            with one:
                while (request := self._read(one, number)) and self._play(one, request):
                    pass

    def _read(self, one, number):
        data = b""
        while b"\r\n\r\n" not in data:
            if not (more := one.recv(1 << 16)):
                return None
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        request = Request(head.decode(), b"", number, time.monotonic())
        while len(body) < int(request.headers["content-length"]):
            if not (more := one.recv(1 << 16)):
                return None
            body += more
        request.body = body
        return request

    def _play(self, one, request):
        with self._lock:
            self.requests.append(request)
            entry = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        entry = entry(request) if callable(entry) else entry
        for step in [entry] if isinstance(entry, bytes) else entry:
            if isinstance(step, bytes):
                one.sendall(step)
            elif step == CLOSE:
                return False
            elif step == RESET:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return False
            else:
                self._over.wait(60 if step == HANG else step)
        return not self._over.is_set()


def event(data):
    return b"data: " + (data if isinstance(data, bytes) else json.dumps(data).encode()) + b"\n\n"


def delta(finish=None, **members):
    return {"choices": [{"index": 0, "delta": members, "finish_reason": finish}]}


def events_of(*texts, usage=USAGE, finish="stop", done=True):
    """The events of a chat reply, each as bytes."""
    events = [event(delta(role="assistant", content=""))]
    events += [event(delta(content=text)) for text in texts]
    events.append(event(delta(finish)))
    if usage is not None:
        events.append(event({"choices": [], "usage": usage}))
    return [*events, event(b"[DONE]")] if done else events


def head(status=200, kind="text/event-stream", **headers):
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Type: {kind}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode()


def chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


def chunked(events, **headers):
    """A whole reply, a chunk an event."""
    body = b"".join(map(chunk, events))
    return head(transfer_encoding="chunked", **headers) + body + b"0\r\n\r\n"


def whole(body, status=200, kind="application/json", **headers):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return head(status, kind, content_length=len(data), **headers) + data


GOOD = chunked(events_of("one", " two", " three"))
