"""Enforcement of the limits in `settings`: hosts, origins, token, sizes, concurrency and timeouts."""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import time
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import URL, Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from looksay.server import ollama_api, openai_api
from looksay.server.prometheus import Metrics
from looksay.server.settings import RETRY_AFTER, ServerSettings

access_log = logging.getLogger("looksay.access")
log = logging.getLogger(__name__)

CAPTIONS = "/v1/captions"
PUBLIC = ("/", "/docs", "/openapi.json", "/healthz", "/readyz")
"""Paths that need no token: the web page, which holds no user's data, and the health checks."""

_DIALECTS = (openai_api.PATH, ollama_api.GENERATE, ollama_api.CHAT)
CAPTION_REQUESTS = (CAPTIONS, *_DIALECTS)

_PRIVATE = (*CAPTION_REQUESTS, "/v1/models", ollama_api.TAGS, ollama_api.VERSION, "/metrics")

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


def error_response(path: str, status: int, detail: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """Return the response to a request that failed, as the clients of its path read it."""
    body: dict[str, Any] = {"detail": detail}
    if path == openai_api.PATH:
        body = openai_api.error_body(status, detail)
    elif path.startswith("/v1/") and path != CAPTIONS:  # of both dialects
        body |= openai_api.error_body(status, detail)
    elif path.startswith(ollama_api.PREFIX):
        body = {"error": detail}
    return JSONResponse(body, status, headers)


def busy_response(path: str) -> JSONResponse:
    """Return the response of a server at its capacity."""
    return error_response(path, 503, "the server is busy: try again soon", {"Retry-After": str(RETRY_AFTER)})


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
        exchange = _Exchange(scope, receive, send, self._settings)
        try:
            if refusal := self._forbidden(exchange) or self._over_limit(exchange):
                await refusal(exchange.scope, exchange.receive, exchange.send)
            else:
                await self._forward(exchange)
        finally:
            self._record(exchange)

    def _forbidden(self, exchange: _Exchange) -> JSONResponse | None:
        headers, path, settings = exchange.headers, exchange.path, self._settings
        if settings.host_names and _host_name(exchange.scope) not in settings.host_names:
            return error_response(path, 421, "this host name is not allowed: start the server with --allowed-host NAME")
        if exchange.method not in ("GET", "HEAD") and _is_cross_origin(headers):
            return error_response(path, 403, "cross-origin requests are not allowed")
        if settings.token and path not in PUBLIC and not path.startswith("/page/"):
            scheme, _, token = headers.get("authorization", "").partition(" ")
            if scheme.lower() != "bearer" or not hmac.compare_digest(token.encode(), settings.token.encode()):
                detail = "the token is missing or wrong: send Authorization: Bearer TOKEN"
                return error_response(path, 401, detail, {"WWW-Authenticate": "Bearer"})
        return None

    def _over_limit(self, exchange: _Exchange) -> JSONResponse | None:
        headers, path, settings = exchange.headers, exchange.path, self._settings
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length) > settings.max_bytes:
            return error_response(path, 413, _too_large(settings.max_bytes))
        if headers.get("expect", "100-continue").lower() != "100-continue":
            return error_response(path, 417, "this expectation cannot be met: send Expect: 100-continue, or none")
        is_full = exchange.is_caption_request and self._caption_requests >= settings.max_requests
        if is_full or len(exchange.scope["state"].get("connections", ())) > settings.max_connections:
            return busy_response(path)
        return None

    async def _forward(self, exchange: _Exchange) -> None:
        self._caption_requests += exchange.is_caption_request
        try:
            async with asyncio.timeout(self._settings.timeout):
                await self._app(exchange.scope, exchange.receive, exchange.send)
        except TimeoutError:
            status, verb = (504, "captioned") if exchange.is_uploaded else (408, "uploaded")
            if not exchange.status:
                response = error_response(
                    exchange.path, status, f"not {verb} within {self._settings.timeout:g} seconds"
                )
                await response(exchange.scope, exchange.receive, exchange.send)
        except Exception:  # the app has sent status 500
            log.exception("%s %s failed", exchange.method, exchange.path)
        finally:
            self._caption_requests -= exchange.is_caption_request
            if exchange.is_caption_request:
                self._metrics.seconds.observe(exchange.seconds)

    def _record(self, exchange: _Exchange) -> None:
        """Count and log a request, without images, captions, file names or tokens."""
        # Labels come from fixed sets: clients could otherwise create metrics without end.
        path = exchange.path if exchange.path in (*PUBLIC, *_PRIVATE) else "other"
        method = exchange.method if exchange.method in ("GET", "HEAD", "POST") else "other"
        self._metrics.requests.labels(method, path, exchange.status).inc()
        row = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "client": (exchange.scope.get("client") or ("",))[0],
            "method": exchange.method,
            "path": exchange.scope["path"],
            "status": exchange.status,
            "seconds": round(exchange.seconds, 4),
            "bytes": exchange.received,
            "images": exchange.scope.get("looksay.images", 0),
        }
        access_log.info("%s", json.dumps(row))


class _Exchange:
    """A request and its response: measures both, limits the upload, and adds the security headers."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, settings: ServerSettings) -> None:
        root, full_path = settings.root_path or scope.get("root_path", ""), scope["path"]
        if full_path != root and not full_path.startswith(f"{root}/"):
            full_path = root + full_path  # this proxy removes the path under which it serves; others do not
        self.scope = {"state": {}, **scope, "path": full_path, "root_path": root}
        self.headers, self.method = Headers(scope=scope), scope["method"]
        self.path = full_path.removeprefix(root) or "/"
        self.is_caption_request = self.path in CAPTION_REQUESTS and self.method == "POST"
        if (
            self.is_caption_request and self.path in _DIALECTS
        ):  # other servers read JSON under any type, as curl sends it
            MutableHeaders(scope=self.scope)["content-type"] = "application/json"
        self._receive, self._send, self._max_bytes = receive, send, settings.max_bytes
        self._start = time.perf_counter()
        self._awaits_continue = "expect" in self.headers
        self.is_uploaded = False
        self.received = 0
        self.status = 0

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self._start

    async def receive(self) -> Message:
        self._awaits_continue = False
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
            headers.setdefault("Cache-Control", "no-cache" if "etag" in headers else "no-store")
            if self._awaits_continue:  # the client may send its upload or not: nobody knows where a next request begins
                headers["Connection"] = "close"
        await self._send(message)


def _too_large(max_bytes: int) -> str:
    return f"the upload is too large: send at most {max_bytes:,} bytes"


def _host_name(scope: Scope) -> str:
    """Return the name in the Host header without port and final dot; empty if the header is missing or malformed."""
    return (URL(scope={**scope, "server": None}).hostname or "").removesuffix(".")


def _is_cross_origin(headers: Headers) -> bool:
    """Return whether a page of another origin sent a request; browsers send these headers, programs need not."""
    origin = headers.get("origin")
    is_other_site = headers.get("sec-fetch-site", "none") not in ("none", "same-origin")
    return is_other_site or (origin is not None and urlsplit(origin).netloc != headers.get("host"))
