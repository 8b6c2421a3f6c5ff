"""A world's tools over MCP, by the official SDK."""

from __future__ import annotations

import asyncio
import queue
import secrets
import socket
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from pytest_a2perf.domains.assistant.apps.tools import Tool
from pytest_a2perf.errors import AgentError, InfraError

if TYPE_CHECKING:
    import uvicorn

__all__ = ["NOTIFICATIONS", "Asked", "McpServer", "Told"]

NOTIFICATIONS = "notifications"
"""Name of the tool that tells what is new."""

_ABOUT = """\
What is new: messages of the user, and news of the apps. Once your message to the user has ended \
your turn, it waits for the next one, or says that there is none."""
_STARTING = 30.0  # seconds
_ENDING = 5.0


@dataclass(frozen=True, slots=True)
class Told:
    """What a call of a tool has come to."""

    text: str
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """A call of a tool that wants an answer."""

    tool: str
    arguments: Mapping[str, Any]
    told: Future[Told] = field(default_factory=Future)


class McpServer:
    """Serves streamable HTTP on the loopback interface, at a free port and a secret path.

    It runs in a thread of its own, and calls nothing: who uses it takes the calls out of `asked`,
    in the thread in which the world is.

    Args:
        tools: by name.

    Attributes:
        url: of the server.
        asked: what clients have called and not been told yet.

    Raises:
        AgentError: the SDK is not installed.
        InfraError: the server does not start.
    """

    def __init__(self, tools: Mapping[str, Tool]) -> None:
        self.asked: queue.SimpleQueue[Asked] = queue.SimpleQueue()
        path = f"/{secrets.token_urlsafe(16)}/mcp"  # other users of the machine cannot guess it
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}{path}"
        self._server = _uvicorn(tools, self.asked, path)
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],))
        self._thread.daemon = True

    def __enter__(self) -> Self:
        self._thread.start()
        end = threading.Event()
        for _ in range(int(_STARTING / 0.01)):
            if self._server.started:
                return self
            if not self._thread.is_alive():
                break
            end.wait(0.01)
        self.close()
        raise InfraError("the MCP server does not start")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the server, whatever clients are waiting for."""
        self._server.should_exit = self._server.force_exit = True
        if self._thread.is_alive():
            self._thread.join(_ENDING)
        self._socket.close()


def _uvicorn(
    tools: Mapping[str, Tool], asked: queue.SimpleQueue[Asked], path: str
) -> uvicorn.Server:
    try:
        import mcp_types as types
        import uvicorn
        from mcp.server.lowlevel import Server
    except ModuleNotFoundError as error:
        raise AgentError(
            f"agents behind MCP need {error.name}: pip install 'pytest-a2perf[mcp]'"
        ) from None

    offered = [_described(name, tool) for name, tool in tools.items()]
    nothing: dict[str, Any] = {"type": "object", "properties": {}}
    offered.append(types.Tool(name=NOTIFICATIONS, description=_ABOUT, input_schema=nothing))

    async def list_tools(_context: Any, _request: Any) -> types.ListToolsResult:
        return types.ListToolsResult(tools=offered)

    async def call_tool(
        _context: Any, request: types.CallToolRequestParams
    ) -> types.CallToolResult:
        call = Asked(request.name, request.arguments or {})
        asked.put(call)
        told = await asyncio.wrap_future(call.told)
        content = types.TextContent(type="text", text=told.text)
        return types.CallToolResult(content=[content], is_error=told.failed)

    server: Server[Any] = Server("a2perf", on_list_tools=list_tools, on_call_tool=call_tool)
    app = server.streamable_http_app(
        streamable_http_path=path, json_response=True, session_idle_timeout=None
    )
    config = uvicorn.Config(
        app, log_config=None, log_level="critical", access_log=False, timeout_graceful_shutdown=1
    )
    return uvicorn.Server(config)


def _described(name: str, tool: Tool) -> Any:
    import mcp_types as types

    function = tool.schema()["function"]
    description = tool.description + (f"\n\nReturns: {tool.returns}" if tool.returns else "")
    return types.Tool(
        name=name,
        description=description,
        input_schema=function["parameters"],
        annotations=types.ToolAnnotations(read_only_hint=not tool.write),
    )
