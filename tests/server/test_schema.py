"""The server agrees with its OpenAPI description: generated requests cause no internal error."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance
from serving import Server

CHECKS = [not_a_server_error, content_type_conformance, response_schema_conformance]


@pytest.mark.parametrize(("method", "path", "mode"), [
    ("POST", "/v1/captions", GenerationMode.POSITIVE),
    ("POST", "/v1/captions", GenerationMode.NEGATIVE),
    *(("POST", path, mode) for path in ("/v1/chat/completions", "/api/generate", "/api/chat")
      for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)),
    *(("GET", path, GenerationMode.POSITIVE)
      for path in ("/v1/models", "/healthz", "/readyz", "/metrics", "/api/tags", "/api/version")),
])  # fmt: skip
def test_generated_requests_cause_no_internal_error(
    server: Server, method: str, path: str, mode: GenerationMode
) -> None:
    operation = schemathesis.openapi.from_url(f"{server.url}/openapi.json")[path][method]

    @settings(
        max_examples=40 if method == "POST" else 5, derandomize=True, database=None, deadline=None,
        phases=[Phase.generate], suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=operation.as_strategy(generation_mode=mode))
    def request(case: Any) -> None:
        case.call_and_validate(checks=CHECKS)

    request()
    assert "Traceback" not in server.log
