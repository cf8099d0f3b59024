"""The HTTP surface against its own OpenAPI document: whatever is sent, nothing is an error of the service."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis import Case

from mlops_assets.resources.home import Home
from tests.real_slice import copy_home, working_in
from tests.serving.conftest import MODEL, Running


@pytest.fixture(scope="module")
def api_schema(served_home: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[schemathesis.BaseSchema]:
    with working_in(Home(tmp_path_factory.mktemp("fuzz") / "home")) as home:
        service = Running(copy_home(served_home, home.root))
        service.start()
        yield schemathesis.openapi.from_url(f"{service.address}/openapi.json")
        service.stop()


schema = schemathesis.pytest.from_fixture("api_schema")


@schema.parametrize()
@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_nothing_that_is_sent_is_an_error_of_the_service(case: Case) -> None:
    # Mostly a model that there is: names that nobody has are answered before anything is read.
    if "model" in (case.path_parameters or {}) and len(str(case.body)) % 4:
        case.path_parameters["model"] = MODEL
    answer = case.call()
    # 503 is no error of the service: a model without a champion, an online store that is not there.
    assert answer.status_code < 500 or answer.status_code == 503, case.as_curl_command()
    assert answer.json() is not None
