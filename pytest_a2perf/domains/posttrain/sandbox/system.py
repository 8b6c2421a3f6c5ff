"""What every box sees of the host's system: programs, libraries and Python, all read-only."""

from __future__ import annotations

import os
import site
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest_a2perf
from pytest_a2perf.domains.posttrain.errors import SandboxError
from pytest_a2perf.domains.posttrain.sandbox.spec import Box, Mount

__all__ = [
    "CONFIGURATION",
    "SYSTEM",
    "etc_files",
    "inside",
    "own_files",
    "python_folders",
    "search_path",
    "shown_hidden",
]

SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store")
CONFIGURATION = (
    "/etc/ld.so.cache",
    "/etc/alternatives",
    "/etc/localtime",
    "/etc/mime.types",
    "/etc/ssl/openssl.cnf",
    "/etc/ssl/certs",
    "/etc/pki/tls/certs",
    "/etc/pki/ca-trust/extracted",
)
"""Of ``/etc``, what programs need; keys and accounts of the host are not among it."""


def python_folders() -> list[Path]:
    """Return the folders of this Python: virtual environment, and what it is based on."""
    executable = Path(os.path.realpath(sys.executable))
    candidates = [Path(sys.prefix), Path(sys.base_prefix), executable.parent.parent]
    found: list[Path] = []
    for folder in candidates:
        in_system = any(folder.is_relative_to(part) for part in SYSTEM) or folder == Path("/")
        if not in_system and not any(folder.is_relative_to(other) for other in found):
            found.append(folder)
    return found


def search_path() -> str:
    """Return the value of ``PATH`` inside: this Python's programs, then the system's."""
    folders = [Path(sys.executable).parent, "/usr/local/bin", "/usr/bin", "/bin"]
    return ":".join(dict.fromkeys(map(str, folders)))


def own_files() -> list[Path]:
    """Return the files of this package; no box sees them, but for what a mount names."""
    found = [Path(pytest_a2perf.__file__).parent]
    for folder in {*site.getsitepackages(), *(p for p in sys.path if p.endswith("-packages"))}:
        found += sorted(Path(folder).glob("*pytest_a2perf*"))
    return list(dict.fromkeys(path for path in found if path.exists()))


def etc_files(box: Box) -> dict[str, str]:
    """Return files of ``/etc`` that are made for the box: path -> text."""
    home = box.env.get("HOME", "/tmp")  # noqa: S108 - inside
    return {
        "/etc/passwd": f"root:x:0:0:root:/root:/bin/sh\nagent:x:1000:1000:agent:{home}:/bin/sh\n",
        "/etc/group": "root:x:0:\nagent:x:1000:\n",
        "/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
        "/etc/hosts": "127.0.0.1 localhost\n",
    }


def shown_hidden(box: Box, system: Sequence[Mount] = ()) -> list[tuple[str, bool]]:
    """Find what must be covered: paths inside at which mounts would show what is hidden.

    A mount of something below a hidden folder is meant to be seen, and stays.

    Args:
        box: whose mounts and hidden paths.
        system: mounts of the system itself.

    Returns:
        Paths inside, and whether each is a folder.

    Raises:
        SandboxError: a mount is itself hidden.
    """
    hidden = [Path(os.path.realpath(path)) for path in box.hidden]
    found: dict[str, bool] = {}
    for mount in box.mounts:
        if Path(os.path.realpath(mount.source)) in hidden:
            raise SandboxError(f"{mount.source} is to be hidden, yet mounted at {mount.target}")
    own = [Path(os.path.realpath(path)) for path in own_files()]
    for mount in (*system, *box.mounts):
        source = Path(os.path.realpath(mount.source))
        for path in (*hidden, *own):
            if path != source and path.is_relative_to(source) and path.exists():
                found[str(Path(mount.target) / path.relative_to(source))] = path.is_dir()
    return sorted(found.items())


def inside(env: Mapping[str, str]) -> dict[str, str]:
    """Return a box's environment, with what programs cannot do without."""
    return {"PATH": search_path(), "LANG": "C.UTF-8", "HOME": "/tmp", **env}  # noqa: S108
