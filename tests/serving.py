"""A real server in a process of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
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
    log_file: Path

    @property
    def address(self) -> tuple[str, int]:
        host, port = self.url.removeprefix("http://").split(":")
        return host, int(port)

    @property
    def log(self) -> str:
        return self.log_file.read_text(encoding="utf-8")

    def reset_peak_memory(self) -> int:
        """Let `peak_memory` count from now, and return the resident memory in bytes (Linux)."""
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5", encoding="ascii")
        return self.peak_memory()

    def peak_memory(self) -> int:
        """Return the largest resident memory so far in bytes (Linux)."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        return 1024 * int(status.split("VmHWM:")[1].split()[0])


@contextmanager
def serving(folder: Path, *arguments: str, python: Path | str = sys.executable, **environment: str) -> Iterator[Server]:
    """Start a server on a free port, wait until it is ready, and stop it with SIGTERM."""
    command = [python, "-m", "looksay", "serve", "--port", "0", *arguments]
    log_file = folder / "server.log"
    with log_file.open("w", encoding="utf-8") as log:
        process = subprocess.Popen(command, stderr=log, text=True, env=os.environ | environment)
    try:
        server = Server(_url(process, log_file), process, log_file)
        with httpx.Client(transport=httpx.HTTPTransport(retries=20)) as client:
            client.get(f"{server.url}/readyz").raise_for_status()
        yield server
    finally:
        process.terminate()
        assert process.wait(timeout=60) == 0, log_file.read_text(encoding="utf-8")


def _url(process: subprocess.Popen[str], log_file: Path) -> str:
    while process.poll() is None:
        if match := re.search(r"http://\S+:\d+", log_file.read_text(encoding="utf-8")):
            return match[0]
        time.sleep(0.02)
    raise AssertionError(log_file.read_text(encoding="utf-8"))


def images(*files: Path | tuple[str, bytes]) -> list[tuple[str, tuple[str, bytes | IO[bytes]]]]:
    """Return a form of images for httpx."""
    return [("images", file if isinstance(file, tuple) else (file.name, file.read_bytes())) for file in files]
