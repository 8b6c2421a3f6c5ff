"""``python -m pytest_a2perf.domains.serving.server``: see `ServerOptions` for what it can do."""

from __future__ import annotations

import gc
import json
import resource
import sys

from pytest_a2perf.domains.serving.server.app import Server
from pytest_a2perf.domains.serving.server.options import ServerOptions
from pytest_a2perf.errors import A2PerfError


def main() -> None:
    """Serve; say where, as a line of JSON, once requests are taken."""
    options = ServerOptions.from_command_line()
    try:
        server = Server(options)
    except A2PerfError as error:
        sys.exit(str(error))
    except OSError as error:
        sys.exit(f"reference server: {error}")
    url = f"http://{options.host}:{server.port}/v1"
    print(json.dumps({"url": url, "port": server.port}), flush=True)  # noqa: T201 - the interface
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # a descriptor for each stream
    # A collection would stop every stream for a moment; next to nothing here is cyclic.
    gc.freeze()
    gc.disable()
    server.run()


if __name__ == "__main__":
    main()
