"""What stands before the routes: who may ask, how much, how long; and what is written down of it."""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import time
from collections.abc import MutableMapping
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from looksay.web.limits import Limits
from looksay.web.metrics import Metrics

access = logging.getLogger("looksay.access")
log = logging.getLogger(__name__)

API = "/v1/"
OPEN = ("/", "/docs", "/openapi.json", "/healthz", "/readyz")
"""What needs no token: the pages, which hold nothing of anyone's, and whether the server is well."""

RETRY = 1  # seconds after which a client that was turned away may try again

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
        exchange = _Exchange(receive, send, self._limits.bytes)
        try:
            refusal = self._refusal(scope)
            if refusal:
                await refusal(scope, receive, exchange.send)
            else:
                await self._let_through(scope, exchange)
        finally:
            self._write_down(scope, exchange)

    async def _let_through(self, scope: Scope, exchange: _Exchange) -> None:
        captioning = scope["path"].startswith(API) and scope["method"] == "POST"
        self._working += captioning
        try:
            async with asyncio.timeout(self._limits.seconds):
                await self._app(scope, exchange.receive, exchange.send)
        except TimeoutError:
            late = (504, "captioned") if exchange.uploaded else (408, "uploaded")
            await self._problem(scope, exchange, late[0], f"not {late[1]} within {self._limits.seconds:g} seconds")
        except Exception:  # it has been answered by `mistake`
            log.exception("%s %s failed", scope["method"], scope["path"])
        finally:
            self._working -= captioning
            if captioning:
                self._metrics.seconds.observe(exchange.seconds)

    def _refusal(self, scope: Scope) -> JSONResponse | None:
        headers, limits = Headers(scope=scope), self._limits
        host = headers.get("host", "").rsplit(":", 1)[0] if "]" not in headers.get("host", "") else "::1"
        if limits.hosts and host.strip("[]").lower() not in limits.hosts:
            return problem(421, "this server is not called by this name; --allowed-host adds one")
        if headers.get("sec-fetch-site") == "cross-site" and scope["method"] != "GET":
            return problem(403, "another site may not ask for captions")
        if limits.token and scope["path"] not in OPEN and not scope["path"].startswith("/page/"):
            given = headers.get("authorization", "").encode("latin-1")
            if not hmac.compare_digest(given, f"Bearer {limits.token}".encode()):
                return problem(401, "a token is needed: Authorization: Bearer TOKEN", {"WWW-Authenticate": "Bearer"})
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length) > limits.bytes:
            return problem(413, _too_large(limits.bytes), {"Connection": "close"})
        if scope["path"].startswith(API) and scope["method"] == "POST" and self._working >= limits.requests:
            return busy()
        return None

    async def _problem(self, scope: Scope, exchange: _Exchange, status: int, detail: str) -> None:
        """Say what went wrong, unless an answer has begun."""
        if not exchange.status:
            await problem(status, detail, {"Connection": "close"})(scope, exchange.receive, exchange.send)

    def _write_down(self, scope: Scope, exchange: _Exchange) -> None:
        """Count the request, and log it: never a picture, a caption, a file's name or a token."""
        route = getattr(scope.get("route"), "path", "other")
        self._metrics.requests.labels(scope["method"] if route != "other" else "other", route, exchange.status).inc()
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

    def __init__(self, receive: Receive, send: Send, most: int) -> None:
        self._receive = receive
        self._send = send
        self._most = most
        self._started = time.perf_counter()
        self.received = 0
        self.uploaded = False
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
                raise HTTPException(413, _too_large(self._most), {"Connection": "close"})
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


def problem(status: int, detail: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """Return an answer that says why there is none."""
    return JSONResponse({"detail": detail}, status, headers)


def mistake(*_: object) -> JSONResponse:
    """Return the answer to a request on which the server failed, without its inside."""
    return problem(500, "the server made a mistake; its log says more", {"Connection": "close"})


def _too_large(most: int) -> str:
    return f"an upload has at most {most:,} bytes"


def busy() -> JSONResponse:
    """Return the answer of a server that is full."""
    return problem(503, "the server is busy; try again soon", {"Retry-After": str(RETRY)})
