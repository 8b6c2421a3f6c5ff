"""Offers the tools at ``A2PERF_MCP_URL`` over stdio, for clients that speak nothing else."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

__all__ = ["main"]


async def _serve(url: str) -> None:
    import mcp_types as types
    from mcp import Client
    from mcp.server.lowlevel import Server
    from mcp.server.stdio import stdio_server

    async with Client(url) as client:

        async def list_tools(_context: Any, _request: Any) -> types.ListToolsResult:
            return await client.list_tools()

        async def call_tool(
            _context: Any, request: types.CallToolRequestParams
        ) -> types.CallToolResult:
            return await client.call_tool(request.name, request.arguments)

        server: Server[Any] = Server("a2perf", on_list_tools=list_tools, on_call_tool=call_tool)
        async with stdio_server() as (incoming, outgoing):
            await server.run(incoming, outgoing, server.create_initialization_options())


def main() -> None:
    """Serve until standard input ends."""
    url = os.environ.get("A2PERF_MCP_URL")
    if not url:
        sys.exit("A2PERF_MCP_URL is not set: this runs within a trial of the agent mcp:COMMAND")
    asyncio.run(_serve(url))


if __name__ == "__main__":
    main()
