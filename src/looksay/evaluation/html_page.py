"""HTML pages from Jinja2 templates, with automatic escaping."""

from __future__ import annotations

import functools
from typing import Any

from looksay.errors import MissingExtra


@functools.cache
def environment() -> Any:
    """Return the Jinja2 environment of ``evaluation/templates``.

    Raises
    ------
    MissingExtra
        If Jinja2 is not installed.
    """
    try:
        import jinja2
    except ImportError as error:
        raise MissingExtra("Writing a report", "metrics") from error
    return jinja2.Environment(
        loader=jinja2.PackageLoader("looksay.evaluation"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def render(template: str, **values: Any) -> str:
    """Return the page of a template; see `environment`."""
    page: str = environment().get_template(template).render(**values)
    return page
