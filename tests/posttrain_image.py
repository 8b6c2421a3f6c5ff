"""An image for podman, made in no time: it borrows the programs of this machine."""

from __future__ import annotations

import atexit
import functools
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from pytest_a2perf.domains.posttrain.sandbox.container import IMAGE

NAME = "localhost/a2perf-test:1"
BORROWED = ("/usr/bin", "/usr/lib", "/usr/lib64", sys.base_prefix, sys.prefix)


@functools.cache
def offer_image() -> None:
    """Make the image and see to it that podman finds it, in a store of this process.

    Where `IMAGE` is set, that one is used instead; without podman nothing happens.
    """
    if IMAGE in os.environ or shutil.which("podman") is None:
        return
    folder = Path(tempfile.mkdtemp(prefix="a2perf-podman-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    borrowed = [f"{path}:{path}:ro" for path in BORROWED if Path(path).is_dir()]
    # Of the two runtimes, only runc copes with control groups of both versions at once.
    runtime = 'runtime = "runc"' if shutil.which("runc") else ""
    (folder / "containers.conf").write_text(
        f"[containers]\nvolumes = {json.dumps(borrowed)}\n"
        f'[engine]\n{runtime}\ntmp_dir = "{folder}/tmp"\n'
    )
    (folder / "storage.conf").write_text(
        f'[storage]\ndriver = "vfs"\ngraphroot = "{folder}/graph"\nrunroot = "{folder}/run"\n'
    )
    os.environ["CONTAINERS_CONF"] = f"{folder}/containers.conf"
    os.environ["CONTAINERS_STORAGE_CONF"] = f"{folder}/storage.conf"
    os.environ[IMAGE] = NAME
    subprocess.run(["podman", "import", "-", NAME], input=_files(), capture_output=True, check=True)


def _files() -> bytes:
    links = {name: f"usr/{name}" for name in ("bin", "lib", "lib64")}
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as image:
        for name in ("tmp", "etc", *(path.lstrip("/") for path in BORROWED)):
            about = tarfile.TarInfo(name)
            about.type, about.mode = tarfile.DIRTYPE, 0o755
            image.addfile(about)
        for name, target in links.items():
            about = tarfile.TarInfo(name)
            about.type, about.linkname = tarfile.SYMTYPE, target
            image.addfile(about)
        # A link would not lead to the packages of a virtual environment, and that one may be closed
        # to the user inside.
        text = f"""#!/bin/sh
test -x "{sys.executable}" && exec "{sys.executable}" "$@"
exec "{sys.base_prefix}/bin/python3" "$@"
""".encode()
        python = tarfile.TarInfo("usr/local/bin/python3")
        python.size, python.mode = len(text), 0o755
        image.addfile(python, io.BytesIO(text))
    return file.getvalue()
