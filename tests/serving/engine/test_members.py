"""Whose row it is: by a key, by a feature of the column's name, or by the column itself among the keys."""

from __future__ import annotations

from typing import Any

import pytest

from mlops_assets.serving.engine.members import Members
from mlops_assets.serving.log.records import LoggedRow

BY_VALUE = {"UA": "delay_ua", "7": "delay_7", "true": "delay_true", "1.5": "delay_1_5"}
MEMBERS = Members("carrier", ("feat_flight__carrier",), BY_VALUE, is_key=False)


@pytest.mark.parametrize(
    ("entities", "features", "member"),
    [
        ({"carrier": "UA"}, {}, "delay_ua"),
        ({"carrier": 7}, {}, "delay_7"),
        ({}, {"feat_flight__carrier": "UA"}, "delay_ua"),
        ({}, {"feat_flight__carrier": True}, "delay_true"),
        ({}, {"feat_flight__carrier": 1.5}, "delay_1_5"),
        ({"carrier": None}, {"feat_flight__carrier": "UA"}, "delay_ua"),
        # What is said outright goes before a feature.
        ({"carrier": "UA"}, {"feat_flight__carrier": 7}, "delay_ua"),
        ({"carrier": "ua"}, {}, None),
        ({"carrier": ""}, {}, None),
        ({"carrier": "ZZ"}, {}, None),
        ({}, {"feat_flight__carrier": None}, None),
        ({"flight": "UA"}, {"feat_flight__origin": "UA"}, None),
    ],
)  # fmt: skip
def test_whose_row_it_is(entities: dict[str, Any], features: dict[str, Any], member: str | None) -> None:
    assert MEMBERS.of(LoggedRow(entities, features)) == member


@pytest.mark.parametrize("is_key", [True, False])
def test_a_column_that_is_no_key_is_gone_from_the_keys(is_key: bool) -> None:
    members = Members("carrier", (), BY_VALUE, is_key)
    row = LoggedRow({"flight_id": "f", "carrier": "UA"}, {"x": 1})
    assert members.without(row).entities.keys() == ({"flight_id", "carrier"} if is_key else {"flight_id"})
    assert members.without(row).features == {"x": 1}
