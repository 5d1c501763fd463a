"""A stand-in for the Hugging Face hub: those parts of its HTTP API that models go through, on this machine."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

Repositories = dict[str, dict[str, bytes]]


class Hub(ThreadingHTTPServer):
    """Holds repositories; `cut` is a file whose download breaks off once in its middle."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.repositories: Repositories = {}
        self.cut = ""
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@contextmanager
def running() -> Iterator[Hub]:
    hub = Hub()
    thread = threading.Thread(target=hub.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
        thread.join()


class _Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Hub

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass

    def _path(self) -> list[str]:
        self.server.asked.append(f"{self.command} {self.path}")
        return unquote(urlsplit(self.path).path).strip("/").split("/")

    def _json(self, answer: Any, status: int = 200) -> None:
        self._bytes(json.dumps(answer).encode(), {"Content-Type": "application/json"}, status)

    def _bytes(self, data: bytes, headers: dict[str, str], status: int = 200) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def do_GET(self) -> None:
        match self._path():
            case ["api", "models", owner, name, "tree", *_] if f"{owner}/{name}" in self.server.repositories:
                files = self.server.repositories[f"{owner}/{name}"]
                self._json([{"type": "file", "path": f, "size": len(d), "oid": "0" * 40} for f, d in files.items()])
            case ["api", "models", owner, name, *_] if f"{owner}/{name}" in self.server.repositories:
                files = self.server.repositories[f"{owner}/{name}"]
                siblings = [{"rfilename": file} for file in files]
                self._json({"id": f"{owner}/{name}", "sha": _commit(files), "siblings": siblings})
            case [owner, name, "resolve", _, *file] if f"{owner}/{name}" in self.server.repositories:
                self._file(self.server.repositories[f"{owner}/{name}"], "/".join(file))
            case _:
                self._json({"error": "Repository not found"}, 404)

    do_HEAD = do_GET  # noqa: N815

    def _file(self, files: dict[str, bytes], name: str) -> None:
        if name not in files:
            self._bytes(b"", {"X-Error-Code": "EntryNotFound"}, 404)
            return
        data, status = files[name], 200
        headers = {"ETag": f'"{hashlib.sha256(data).hexdigest()}"', "X-Repo-Commit": _commit(files)}
        if (asked := self.headers.get("Range", "")).startswith("bytes="):
            start = int(asked.removeprefix("bytes=").partition("-")[0])
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
            data, status = data[start:], 206
        if self.command == "GET" and name == self.server.cut and status == 200:
            self.server.cut = ""
            self.send_response(200)
            for header, value in (headers | {"Content-Length": str(len(data))}).items():
                self.send_header(header, value)
            self.end_headers()
            self.wfile.write(data[: len(data) // 2])
            self.close_connection = True
            return
        self._bytes(data, headers, status)

    def do_POST(self) -> None:
        path = self._path()
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("Authorization") != "Bearer hf_me":
            self._json({"error": "Invalid credentials"}, 401)
            return
        match path:
            case ["api", "validate-yaml"]:
                self._json({"errors": [], "warnings": []})
            case ["api", "repos", "create"]:
                made = json.loads(body)
                full = f"{made.get('organization') or 'me'}/{made['name']}"
                self.server.repositories.setdefault(full, {})
                self._json({"url": f"{self.server.url}/{full}"})
            case ["api", "models", _, _, "preupload", _]:
                files = json.loads(body)["files"]
                self._json(
                    {"files": [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in files]}
                )
            case ["api", "models", owner, name, "commit", _]:
                files_ = self.server.repositories[f"{owner}/{name}"]
                for line in map(json.loads, body.splitlines()):
                    if line["key"] == "file":
                        files_[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
                url = f"{self.server.url}/{owner}/{name}/commit/{_commit(files_)}"
                self._json({"success": True, "commitUrl": url, "commitOid": _commit(files_)})
            case _:
                self._json({"error": f"no such part of the API: {path}"}, 404)


def _commit(files: dict[str, bytes]) -> str:
    return hashlib.sha256(b"".join(name.encode() + data for name, data in sorted(files.items()))).hexdigest()[:40]
