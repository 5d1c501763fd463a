"""The images of a request: the files of a form, or the body itself."""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

from fastapi import HTTPException, Request
from python_multipart.multipart import parse_options_header
from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect

from looksay.server.settings import MAX_FORM_FIELDS

Upload = tuple[str, bytes]  # file name and content

FIELD = b"images"
_NOT_STATED = ("", "application/octet-stream")
_EXTENDED_NAME = re.compile(rb""";\s*filename\*\s*=\s*"?[\w-]*'[^']*'([^;\s"]*)""", re.IGNORECASE)


async def read_uploads(request: Request, max_images: int) -> list[Upload]:
    """Return the images of a request; raise an `HTTPException` if it has none, or too many."""
    kind = _media_type(request.headers.get("content-type", ""))
    coding = request.headers.get("content-encoding", "identity").lower()
    if coding != "identity":
        raise HTTPException(415, f"content encoding {coding} is not supported: send the image as it is")
    try:
        if kind == "multipart/form-data":
            return await _read_form(request, max_images)
        if not kind.startswith("image/") and kind not in _NOT_STATED:
            raise HTTPException(415, f"content type {kind} is not supported: send multipart/form-data or image/*")
        body = await request.body()
    except ClientDisconnect as error:
        raise HTTPException(400, "the upload is incomplete") from error
    if not body:
        raise HTTPException(400, "the upload is empty: send an image")
    return [("", body)]


async def _read_form(request: Request, max_images: int) -> list[Upload]:
    try:
        # Other parameters are dropped: the parser would decode file names by any charset that a client names.
        _, parameters = parse_options_header(request.headers["content-type"])
        boundary = parameters[b"boundary"].decode("latin-1")
        headers = Headers({"content-type": f'multipart/form-data; boundary="{boundary}"'})
        parser = _FormParser(headers, request.stream(), max_files=max_images, max_fields=MAX_FORM_FIELDS)
        form = await parser.parse()
        if not parser.is_complete:
            raise MultiPartException("it ends before its closing boundary")
    except (MultiPartException, KeyError) as error:
        reason = str(getattr(error, "message", "")) or "it has no boundary"
        status = 413 if reason.startswith("Too many files") else 400
        raise HTTPException(status, f"the form cannot be read: {reason}") from error
    uploads = []
    for name, value in form.multi_items():
        if not isinstance(value, UploadFile):
            raise HTTPException(400, f"{name} is not a file: put options into the URL, {request.url.path}?num_beams=5")
        uploads.append((value.filename or "", await value.read()))
    if not uploads:
        raise HTTPException(400, f"the form has no file: send each image in a field named {FIELD.decode()}")
    return uploads


class _FormParser(MultiPartParser):
    """Starlette's parser; files stay in memory, need no name, and may have one in the syntax of RFC 8187."""

    spool_max_size = 2**62  # bytes; the middleware limits the size of the upload

    is_complete = False  # whether the closing boundary has arrived

    def on_end(self) -> None:
        """Note the closing boundary: without it, an image is cut off or missing."""
        self.is_complete = True
        super().on_end()

    def on_headers_finished(self) -> None:
        """Write the file name in the one syntax that the parser reads."""
        part = self._current_part
        disposition = part.content_disposition or b""
        options = parse_options_header(disposition)[1]
        kind = _media_type(dict(part.item_headers).get(b"content-type", b"").decode("latin-1"))
        name = _extended_name(disposition)
        if name is None and b"filename" not in options and (options.get(b"name") == FIELD or kind.startswith("image/")):
            name = ""
        if name is not None:
            quoted = name.replace("\\", "\\\\").replace('"', '\\"').encode("latin-1", "replace")
            part.content_disposition = disposition + b'; filename="' + quoted + b'"'
        super().on_headers_finished()


def _extended_name(disposition: bytes) -> str | None:
    """Return the bytes of ``filename*``, each as a character: those of UTF-8, as its percent-encoding usually says."""
    match = _EXTENDED_NAME.search(disposition)
    return unquote_to_bytes(match[1]).decode("latin-1") if match else None


def _media_type(header: str) -> str:
    return header.partition(";")[0].strip().lower()
