"""Enforcement of the limits in `settings`: hosts, origins, token, sizes, concurrency and timeouts."""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import re
import time
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from looksay.server.prometheus import Metrics
from looksay.server.settings import DISCARDED_BYTES, RETRY_AFTER, ServerSettings

access_log = logging.getLogger("looksay.access")
log = logging.getLogger(__name__)

CAPTIONS = "/v1/captions"
PUBLIC = ("/", "/docs", "/openapi.json", "/healthz", "/readyz")
"""Paths that need no token: the web page, which holds no user's data, and the health checks."""

_PRIVATE = (CAPTIONS, "/v1/models", "/metrics")

_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^\s:\[\]@/]+)(:\d*)?")

_SECURITY_HEADERS = {
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


def error_response(status: int, detail: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """Return the response to a request that failed."""
    return JSONResponse({"detail": detail}, status, headers)


def busy_response() -> JSONResponse:
    """Return the response of a server at its capacity."""
    return error_response(503, "the server is busy: try again soon", {"Retry-After": str(RETRY_AFTER)})


class LimitsMiddleware:
    """ASGI middleware that applies `ServerSettings` to every request, before anything is decoded."""

    def __init__(self, app: ASGIApp, settings: ServerSettings, metrics: Metrics) -> None:
        self._app, self._settings, self._metrics = app, settings, metrics
        self._caption_requests = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a request or pass it on; then count and log it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(scope, receive, send, self._settings.max_bytes)
        try:
            if refusal := self._refusal(scope):
                await refusal(scope, receive, exchange.send)
            else:
                await self._forward(scope, exchange)
        finally:
            self._record(scope, exchange)

    def _refusal(self, scope: Scope) -> JSONResponse | None:
        headers, settings = Headers(scope=scope), self._settings
        host = headers.get("host", "")
        if settings.host_names and _host_name(host) not in settings.host_names:
            return error_response(421, "this host name is not allowed: start the server with --allowed-host NAME")
        if scope["method"] not in ("GET", "HEAD") and _is_cross_origin(headers, host):
            return error_response(403, "cross-origin requests are not allowed")
        if settings.token and scope["path"] not in PUBLIC and not scope["path"].startswith("/page/"):
            scheme, _, token = headers.get("authorization", "").partition(" ")
            if scheme.lower() != "bearer" or not hmac.compare_digest(token.encode(), settings.token.encode()):
                detail = "the token is missing or wrong: send Authorization: Bearer TOKEN"
                return error_response(401, detail, {"WWW-Authenticate": "Bearer"})
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length) > settings.max_bytes:
            return error_response(413, _too_large(settings.max_bytes))
        if _is_caption_request(scope) and self._caption_requests >= settings.max_requests:
            return busy_response()
        return None

    async def _forward(self, scope: Scope, exchange: _Exchange) -> None:
        is_caption_request = _is_caption_request(scope)
        self._caption_requests += is_caption_request
        try:
            async with asyncio.timeout(self._settings.timeout):
                await self._app(scope, exchange.receive, exchange.send)
        except TimeoutError:
            status, verb = (504, "captioned") if exchange.is_uploaded else (408, "uploaded")
            if not exchange.status:
                response = error_response(status, f"not {verb} within {self._settings.timeout:g} seconds")
                await response(scope, exchange.receive, exchange.send)
        except Exception:  # the app has sent status 500
            log.exception("%s %s failed", scope["method"], scope["path"])
        finally:
            self._caption_requests -= is_caption_request
            if is_caption_request:
                self._metrics.seconds.observe(exchange.seconds)

    def _record(self, scope: Scope, exchange: _Exchange) -> None:
        """Count and log a request, without images, captions, file names or tokens."""
        # Labels come from fixed sets: clients could otherwise create metrics without end.
        path = scope["path"] if scope["path"] in (*PUBLIC, *_PRIVATE) else "other"
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
        access_log.info("%s", json.dumps(row))


class _Exchange:
    """A request and its response: measures both, limits the upload, and adds the security headers."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, max_bytes: int) -> None:
        headers = Headers(scope=scope)
        self._receive, self._send, self._max_bytes = receive, send, max_bytes
        self._start = time.perf_counter()
        self.is_uploaded = headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers
        self.received = 0
        self.status = 0

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self._start

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self.received += len(message.get("body", b""))
            self.is_uploaded = not message.get("more_body", False)
            if self.received > self._max_bytes:
                raise HTTPException(413, _too_large(self._max_bytes))
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers.update(_SECURITY_HEADERS)
            headers.setdefault("Cache-Control", "no-store")
        await self._send(message)


class SlowClientProtocol(H11Protocol):
    """Closes connections of clients that send no request or read no response within uvicorn's keep-alive timeout.

    uvicorn applies that timeout between requests only, so that slow clients could hold all connections.
    """

    _discarded = 0
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:  # noqa: D102
        super().connection_made(transport)
        self._set_timer()

    def data_received(self, data: bytes) -> None:  # noqa: D102
        self._discarded = self._discarded + len(data) if self._is_idle() else 0
        if self._discarded > DISCARDED_BYTES:
            self.transport.abort()
            return
        super().data_received(data)
        self._set_timer(restart=False)  # a client must not stay by sending a byte now and then

    def pause_writing(self) -> None:  # noqa: D102
        super().pause_writing()
        self._set_timer()

    def resume_writing(self) -> None:  # noqa: D102
        super().resume_writing()
        self._set_timer()

    def on_response_complete(self) -> None:  # noqa: D102
        super().on_response_complete()
        self._set_timer()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: D102
        super().connection_lost(exc)
        self._cancel_timer()

    def _is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _set_timer(self, *, restart: bool = True) -> None:
        """Start the timer if the server waits for the client, and stop it if not."""
        is_waiting = self._is_idle() or self.flow.write_paused
        if restart or not is_waiting:
            self._cancel_timer()
        if is_waiting and not self._timer:
            self._timer = self.loop.call_later(self.timeout_keep_alive, self.transport.abort)

    def _cancel_timer(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None


def _too_large(max_bytes: int) -> str:
    return f"the upload is too large: send at most {max_bytes:,} bytes"


def _is_caption_request(scope: Scope) -> bool:
    return bool(scope["path"] == CAPTIONS and scope["method"] == "POST")


def _host_name(host: str) -> str:
    """Return the name in a Host header without port, brackets of IPv6 and final dot; empty if it is malformed."""
    match = _HOST.fullmatch(host.lower())
    return match[1].strip("[]").removesuffix(".") if match else ""


def _is_cross_origin(headers: Headers, host: str) -> bool:
    """Return whether a page of another origin sent a request; browsers send these headers, programs need not."""
    origin = headers.get("origin")
    is_other_site = headers.get("sec-fetch-site", "none") not in ("none", "same-origin")
    return is_other_site or (origin is not None and urlsplit(origin).netloc != host)
