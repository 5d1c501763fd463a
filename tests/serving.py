"""A real server in a process of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import httpx


@dataclass
class Server:
    """A running ``looksay serve``; `log` is its standard error so far."""

    url: str
    process: subprocess.Popen[str]
    file: Path

    @property
    def log(self) -> str:
        return self.file.read_text(encoding="utf-8")

    def most_memory(self) -> int:
        """Return the most that it has had resident so far, in bytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        return 1024 * int(status.split("VmHWM:")[1].split()[0])

    def memory(self) -> int:
        """Return its resident memory in bytes."""
        return int(Path(f"/proc/{self.process.pid}/statm").read_text(encoding="ascii").split()[1]) * 4096


@contextmanager
def serving(folder: Path, *arguments: str, python: Path | str = sys.executable, **environment: str) -> Iterator[Server]:
    """Start a server on a free port, wait until it is ready, and end it with SIGTERM."""
    command = [python, "-m", "looksay", "serve", "--port", "0", *arguments]
    file = folder / "server.log"
    with file.open("w", encoding="utf-8") as log:
        process = subprocess.Popen(command, stderr=log, text=True, env=os.environ | environment)
    try:
        server = Server(_url(process, file), process, file)
        with httpx.Client(transport=httpx.HTTPTransport(retries=20)) as client:
            client.get(f"{server.url}/readyz").raise_for_status()
        yield server
    finally:
        process.terminate()
        assert process.wait(timeout=60) == 0, file.read_text(encoding="utf-8")


def _url(process: subprocess.Popen[str], file: Path) -> str:
    while process.poll() is None:
        if found := re.search(r"http://\S+:\d+", file.read_text(encoding="utf-8")):
            return found[0]
    raise AssertionError(file.read_text(encoding="utf-8"))


def images(*files: Path | tuple[str, bytes]) -> list[tuple[str, tuple[str, bytes | IO[bytes]]]]:
    """Return a form of images for httpx."""
    return [("images", file if isinstance(file, tuple) else (file.name, file.read_bytes())) for file in files]
