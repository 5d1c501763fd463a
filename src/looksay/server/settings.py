"""The settings and limits of the HTTP server, declared once.

The options of ``looksay serve`` and the table in docs/guide/serve.md are made from `ServerSettings`.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address

from looksay.errors import require
from looksay.option_fields import check, option

LOOPBACK = ("127.0.0.1", "localhost", "::1")
ENVIRONMENT = {"token": "LOOKSAY_TOKEN", "forwarded_allow_ips": "FORWARDED_ALLOW_IPS"}
"""Environment variables that set an option of ``looksay serve``."""

DECODING_LIMITS: dict[str, dict[str, int]] = {
    "num_beams": {"le": 10},
    "num_captions": {"le": 10},
    "max_length": {"le": 50},
    "min_length": {"le": 50},
    "no_repeat_ngram_size": {"le": 10},
    "bad_words": {"max_length": 100},
    "force_words": {"max_length": 3},  # constrained beam search has 2 ** words beams
    "prefix": {"max_length": 200},
    "num_beam_groups": {"le": 10},
    "diversity_penalty": {"le": 100},
    "top_k": {"le": 100_000},
    "seed": {"le": 2**63 - 1},
}
"""Bounds of decoding options over HTTP, where they are tighter than in `DecodingOptions`."""

MAX_WORD_LENGTH = 40  # characters of a word in bad_words and force_words
MAX_FORM_FIELDS = 20  # a form should have files only; with a few fields the error can name the first one
MAX_JPEG_SCANS = 200  # cameras and editors write about 10; decoding each takes as long as decoding the image
READER_THREADS = 2  # a large image takes half a gigabyte while it is decoded
BATCH_WAIT = 0.003  # seconds that an image waits for others of its batch
STALLED_AFTER = 10.0  # seconds without progress after which /readyz reports that the server is not ready
RETRY_AFTER = 1  # seconds after which a client should repeat a request that was answered 503
DISCARDED_BYTES = 32_000_000  # of an upload, read after it was refused so that the client receives the response


@dataclass(frozen=True)
class ServerSettings:
    """Settings of the HTTP server; each is an option of ``looksay serve``.

    Raises
    ------
    OptionError
        If a value is of another type or out of its range.
    """

    host: str = option("127.0.0.1", "Address to listen on; 0.0.0.0 for all interfaces.")
    port: int = option(8000, "Port to listen on; 0 for any free port.", ge=0, le=65535)
    allowed_hosts: tuple[str, ...] = option(
        (), "Host name that requests may use besides the loopback names. Without it, any if --host is not loopback."
    )
    root_path: str = option("", "URL path under which a reverse proxy serves the page and the API, such as /captions.")
    forwarded_allow_ips: str = option(
        "127.0.0.1,::1", "Proxies whose X-Forwarded-For and X-Forwarded-Proto are trusted: addresses or networks, or *."
    )
    token: str = option("", "Bearer token that requests must carry; empty for none.")
    max_bytes: int = option(32_000_000, "Maximum upload size in bytes.", ge=1)
    max_pixels: int = option(50_000_000, "Maximum number of pixels in an image.", ge=1, le=89_478_485)
    max_images: int = option(32, "Maximum number of images in a request.", ge=1)
    max_requests: int = option(16, "Maximum number of concurrent caption requests; more are answered 503.", ge=1)
    max_connections: int = option(500, "Maximum number of open connections; more are answered 503.", ge=1)
    queue: int = option(64, "Maximum number of images being processed or waiting; more are answered 503.", ge=1)
    batch: int = option(16, "Maximum number of images captioned together.", ge=1)
    timeout: float = option(30.0, "Seconds that a request may take, its upload included.", gt=0)
    idle_timeout: int = option(10, "Seconds that a client may take to send headers or to read a response.", ge=1)

    def __post_init__(self) -> None:
        check(self)
        require(
            self.queue >= self.max_images,
            f"queue {self.queue} is too small: use at least max_images ({self.max_images})",
        )
        require(
            not self.root_path or (self.root_path.startswith("/") and not self.root_path.endswith("/")),
            f"root_path {self.root_path} is not a path: use one that starts with a slash and does not end with one",
        )
        require(self.token.isascii(), "token has other characters than ASCII: use letters, digits and punctuation")

    @property
    def host_names(self) -> frozenset[str]:
        """Values of the Host header that are accepted; empty for any."""
        if self.allowed_hosts or _is_loopback(self.host):
            return frozenset((*LOOPBACK, *(name.lower() for name in self.allowed_hosts)))
        return frozenset()


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
