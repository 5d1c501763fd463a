"""The description of the API is what the server does: made-up requests after it make no mistake of the server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance
from serving import Server, serving

CHECKS = [not_a_server_error, content_type_conformance, response_schema_conformance]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("server"), "--threads", "1") as running:
        yield running


@pytest.mark.parametrize(("method", "path", "mode"), [
    ("POST", "/v1/captions", GenerationMode.POSITIVE),
    ("POST", "/v1/captions", GenerationMode.NEGATIVE),
    *(("GET", path, GenerationMode.POSITIVE) for path in ("/v1/models", "/healthz", "/readyz", "/metrics")),
])  # fmt: skip
def test_made_up_requests_make_no_mistake_of_the_server(
    server: Server, method: str, path: str, mode: GenerationMode
) -> None:
    operation = schemathesis.openapi.from_url(f"{server.url}/openapi.json")[path][method]

    @settings(
        max_examples=80 if method == "POST" else 5, derandomize=True, database=None, deadline=None,
        phases=[Phase.generate], suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        case.call_and_validate(checks=CHECKS)

    ask()
    assert "Traceback" not in server.log
