"""What stands before the routes: who may ask, how much, how long; and what is written down of it."""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import re
import time
from collections.abc import MutableMapping
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from looksay.server.error_responses import busy, problem, too_large
from looksay.server.prometheus import Metrics
from looksay.server.settings import Limits

access = logging.getLogger("looksay.access")
log = logging.getLogger(__name__)

CAPTIONS = "/v1/captions"
OPEN = ("/", "/docs", "/openapi.json", "/healthz", "/readyz")
"""What needs no token: the pages, which hold nothing of anyone's, and whether the server is well."""

_CLOSED = (CAPTIONS, "/v1/models", "/metrics")

_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^\s:\[\]@/]+)(:\d*)?")

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "geolocation=(), microphone=(), camera=(), browsing-topics=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Guard:
    """An ASGI application around another.

    Parameters
    ----------
    app : ASGIApp
    limits : Limits
    metrics : Metrics
    """

    def __init__(self, app: ASGIApp, limits: Limits, metrics: Metrics) -> None:
        self._app = app
        self._limits = limits
        self._metrics = metrics
        self._working = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or let it through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(scope, receive, send, self._limits.bytes)
        try:
            refusal = self._refusal(scope)
            if refusal:
                await refusal(scope, receive, exchange.send)
            else:
                await self._let_through(scope, exchange)
        finally:
            self._write_down(scope, exchange)

    async def _let_through(self, scope: Scope, exchange: _Exchange) -> None:
        captioning = _captions(scope)
        self._working += captioning
        try:
            async with asyncio.timeout(self._limits.seconds):
                await self._app(scope, exchange.receive, exchange.send)
        except TimeoutError:
            status, late = (504, "captioned") if exchange.uploaded else (408, "uploaded")
            if not exchange.status:
                answer = problem(status, f"not {late} within {self._limits.seconds:g} seconds")
                await answer(scope, exchange.receive, exchange.send)
        except Exception:  # it has been answered by `mistake`
            log.exception("%s %s failed", scope["method"], scope["path"])
        finally:
            self._working -= captioning
            if captioning:
                self._metrics.seconds.observe(exchange.seconds)

    def _refusal(self, scope: Scope) -> JSONResponse | None:
        headers, limits = Headers(scope=scope), self._limits
        host = headers.get("host", "")
        if limits.hosts and _name(host) not in limits.hosts:
            return problem(421, "this server is not called by this name; --allowed-host adds one")
        if scope["method"] not in ("GET", "HEAD") and _from_elsewhere(headers, host):
            return problem(403, "another site may not ask for captions")
        if limits.token and scope["path"] not in OPEN and not scope["path"].startswith("/page/"):
            scheme, _, given = headers.get("authorization", "").partition(" ")
            if scheme.lower() != "bearer" or not hmac.compare_digest(given.encode(), limits.token.encode()):
                return problem(401, "a token is needed: Authorization: Bearer TOKEN", {"WWW-Authenticate": "Bearer"})
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length) > limits.bytes:
            return problem(413, too_large(limits.bytes))
        if _captions(scope) and self._working >= limits.requests:
            return busy()
        return None

    def _write_down(self, scope: Scope, exchange: _Exchange) -> None:
        """Count the request, and log it: never an image, a caption, a file's name or a token."""
        path = scope["path"] if scope["path"] in (*OPEN, *_CLOSED) else "other"  # clients must not make up labels
        method = scope["method"] if scope["method"] in ("GET", "HEAD", "POST") else "other"
        self._metrics.requests.labels(method, path, exchange.status).inc()
        row = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "client": (scope.get("client") or ("",))[0],
            "method": scope["method"],
            "path": scope["path"],
            "status": exchange.status,
            "seconds": round(exchange.seconds, 4),
            "bytes": exchange.received,
            "images": scope.get("looksay.images", 0),
        }
        access.info("%s", json.dumps(row))


class _Exchange:
    """Bytes in, answer out, and what is to be known of both."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, most: int) -> None:
        headers = Headers(scope=scope)
        self.uploaded = headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers
        self._receive = receive
        self._send = send
        self._most = most
        self._started = time.perf_counter()
        self.received = 0
        self.status = 0

    @property
    def seconds(self) -> float:
        """Time since the request came."""
        return time.perf_counter() - self._started

    async def receive(self) -> MutableMapping[str, Any]:
        """Pass on a piece of the request."""
        message = await self._receive()
        if message["type"] == "http.request":
            self.received += len(message.get("body", b""))
            self.uploaded = not message.get("more_body", False)
            if self.received > self._most:
                raise HTTPException(413, too_large(self._most))
        return message

    async def send(self, message: Message) -> None:
        """Pass on a piece of the answer, under the headers that keep a browser safe."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers[name] = value
            headers.setdefault("Cache-Control", "no-store")
        await self._send(message)


def _captions(scope: Scope) -> bool:
    return bool(scope["path"] == CAPTIONS and scope["method"] == "POST")


def _name(host: str) -> str:
    """Return the name in a Host header, without the port, the brackets of IPv6 and a last dot; empty if it is none."""
    found = _HOST.fullmatch(host.lower())
    return found[1].strip("[]").removesuffix(".") if found else ""


def _from_elsewhere(headers: Headers, host: str) -> bool:
    """Return whether a page of another origin asks. Browsers say so; programs say nothing, and may."""
    origin = headers.get("origin")
    other = headers.get("sec-fetch-site", "none") not in ("none", "same-origin")
    return other or (origin is not None and urlsplit(origin).netloc != host)
