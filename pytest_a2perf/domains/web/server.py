"""A server of our pages, for this machine alone."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

__all__ = ["PageServer"]


class PageServer:
    """Serves documents from memory, on the loopback interface and a free port; `close` it."""

    def __init__(self) -> None:
        self._documents: dict[str, bytes] = {}
        documents = self._documents

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                content = documents.get(self.path)
                self.send_response(404 if content is None else 200)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.send_header("Content-Length", str(len(content or b"")))
                self.end_headers()
                self.wfile.write(content or b"")

            def log_message(self, *values: object) -> None:
                """Say nothing: standard error is the test's."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where it is, without a slash at the end."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def serve(self, document: str) -> str:
        """Serve a document, and return its URL; the one before is forgotten."""
        self._documents.clear()
        path = "/"
        self._documents[path] = document.encode()
        return self.url + path

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
