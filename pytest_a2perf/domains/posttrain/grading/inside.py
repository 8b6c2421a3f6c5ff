"""First program in a box of the grader: connects it to the grader, and becomes the real one.

``python -I inside.py FOLDER [PATH...] -- COMMAND...`` opens the two pipes in the folder, says what
the paths are called here (a line of JSON), and runs the command with the pipes as its standard
input and output. The grader then removes the pipes' names, so that nothing that comes later can
open them and speak for the program. It runs where this package may be absent: the standard library
alone.
"""

from __future__ import annotations

import json
import os
import sys


def main(arguments: list[str]) -> None:
    """Connect, say the paths, and become the command."""
    end = arguments.index("--")
    folder, paths, command = arguments[0], arguments[1:end], arguments[end + 1 :]
    result = os.open(f"{folder}/result", os.O_WRONLY | os.O_CLOEXEC)
    request = os.open(f"{folder}/request", os.O_RDONLY | os.O_CLOEXEC)
    os.write(result, json.dumps(paths).encode() + b"\n")
    os.dup2(request, 0)
    os.dup2(result, 1)
    os.execvp(command[0], command)  # noqa: S606 - the command is the harness's


if __name__ == "__main__":
    main(sys.argv[1:])
