"""How much a client may ask for."""

from __future__ import annotations

from dataclasses import dataclass

from looksay.errors import require

LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Limits:
    """Limits of the server; each is a flag of ``looksay serve``.

    Attributes
    ----------
    bytes : int
        Of an upload, all its images together.
    pixels : int
        Of an image; a larger one is refused before it is decoded.
    images : int
        Of a request.
    requests : int
        Being uploaded or worked on at once; one more is answered 503.
    queue : int
        CaptionDataset that wait or are worked on at once; a request that brings more is answered 503.
    seconds : float
        That a request may take, its upload included.
    batch : int
        CaptionDataset captioned together.
    wait : float
        Seconds that an image waits for others to be captioned with.
    token : str
        What a client must send as ``Authorization: Bearer TOKEN``; empty for no such rule.
    hosts : tuple of str
        Names by which a browser may call the server; empty for all.

    Raises
    ------
    OptionError
        If a value is out of its range.
    """

    bytes: int = 32_000_000
    pixels: int = 50_000_000
    images: int = 32
    requests: int = 16
    queue: int = 64
    seconds: float = 30.0
    batch: int = 16
    wait: float = 0.003
    token: str = ""
    hosts: tuple[str, ...] = LOOPBACK

    def __post_init__(self) -> None:
        from looksay.images import MAX_PIXELS  # here, so that the command line knows the defaults at no cost

        for name in ("bytes", "pixels", "images", "requests", "queue", "batch"):
            require(getattr(self, name) >= 1, f"{name} is {getattr(self, name)}; it must be 1 or more")
        require(self.pixels <= MAX_PIXELS, f"pixels is {self.pixels}; it must be at most {MAX_PIXELS}")
        require(self.seconds > 0, f"seconds is {self.seconds}; it must be above 0")
        require(0 <= self.wait <= 1, f"wait is {self.wait}; it must be from 0 to 1 second")
        require(self.queue >= self.images, f"queue is {self.queue}; it must have room for a request ({self.images})")
        require(self.token.isascii(), "token must be ASCII")
