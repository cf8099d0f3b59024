"""The time of an event in a request: one reader of texts, by rows and by tensors."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mlops_assets.serving.errors import Refused
from mlops_assets.serving.http.bodies import wrong
from mlops_assets.serving.http.predict_api import PredictRequest
from mlops_assets.serving.http.tensors import moment_of

zones = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
WRONG = [
    "1709287200",
    "1709287200000",
    "1.7e9",
    "-5",
    "0",
    "2024-03-01",
    "2024-03-01T10:00:00",
    "2024030110",
    "now",
    "",
]


def by_rows(value: object) -> datetime | None:
    return (
        PredictRequest.model_validate_json(json.dumps({"rows": [{"event_timestamp": value}]})).rows[0].event_timestamp
    )


@given(st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1), timezones=zones))
def test_a_text_is_its_moment_by_rows_and_by_tensors(at: datetime) -> None:
    for text in (at.isoformat(), at.isoformat(" "), f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"):
        assert by_rows(text) == moment_of(text, 0) == at


@pytest.mark.parametrize("value", [*WRONG, 1709287200, 1.5, True, [1]])
def test_what_tells_no_moment_is_refused_by_rows_and_by_tensors(value: object) -> None:
    with pytest.raises(ValidationError) as told:
        by_rows(value)
    (place,) = wrong(told.value).detail
    assert place["loc"] == ["rows", 0, "event_timestamp"]
    if isinstance(value, str):
        assert place["msg"] == "must be a time in ISO 8601 with a zone, such as 2013-01-01T10:15:00Z"
    with pytest.raises(Refused, match=r"must be a time in ISO 8601 with a zone, such as .*, as BYTES"):
        moment_of(value, 0)
