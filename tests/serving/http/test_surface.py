"""The HTTP surface against its own OpenAPI document: whatever is sent, nothing is an error of the service."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode

from mlops_assets.world.home import Home
from tests.real_slice import copy_home, working_in
from tests.serving.conftest import MODEL, Running

EXAMPLES = 25
"""Requests for each path and kind."""


@pytest.fixture(scope="module")
def api_schema(served_home: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[schemathesis.BaseSchema]:
    with working_in(Home(tmp_path_factory.mktemp("fuzz") / "home")) as home:
        service = Running(copy_home(served_home, home.root))
        service.start()
        yield schemathesis.openapi.from_url(f"{service.address}/openapi.json")
        service.stop()


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["valid", "invalid"])
def test_nothing_that_is_sent_is_an_error_of_the_service(
    api_schema: schemathesis.BaseSchema, mode: GenerationMode
) -> None:
    operations = [found.ok() for found in api_schema.get_all_operations()]
    assert len(operations) >= 15
    for operation in operations:
        send_many(operation, mode)


def send_many(operation: Any, mode: GenerationMode) -> None:
    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def send(case: schemathesis.Case) -> None:
        # Mostly a model that there is: names that nobody has are answered before anything is read.
        if "model" in (case.path_parameters or {}) and len(str(case.body)) % 4:
            case.path_parameters["model"] = MODEL
        answer = case.call()
        # 503 is no error of the service: a model without a champion, an online store that is not there.
        assert answer.status_code < 500 or answer.status_code == 503, case.as_curl_command()
        assert operation.path == "/metrics" or answer.json() is not None

    try:
        send()
    except Unsatisfiable:
        # Nothing invalid can be sent to a path that takes nothing.
        assert mode == GenerationMode.NEGATIVE
