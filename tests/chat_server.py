"""A server with OpenAI's interface whose answers are scripted."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class ChatServer:
    """Answers with the next of ``script``: a text, or a status with its headers.

    When the script is over its last entry is repeated. A callable gets the messages of the request
    and returns a text.
    """

    def __init__(self, *script):
        self.script = list(script)
        self.asked = []
        self.keys = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                server.asked.append(request)
                server.keys.append(self.headers["Authorization"])
                entry = server.script.pop(0) if len(server.script) > 1 else server.script[0]
                if callable(entry):
                    entry = entry(request["messages"])
                status, headers = (200, {}) if isinstance(entry, str) else entry
                body = json.dumps(_completion(request, entry) if status == 200 else _error(status))
                self.send_response(status)
                for name, value in {"Content-Type": "application/json", **headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *values):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _completion(request, text):
    message = {"role": "assistant", "content": text}
    return {
        "id": "1",
        "object": "chat.completion",
        "created": 0,
        "model": request["model"],
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 7, "total_tokens": 107},
    }


def _error(status):
    return {"error": {"message": f"scripted {status}", "type": "scripted", "code": str(status)}}
