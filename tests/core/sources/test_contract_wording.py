"""What a refused cell is told: the remedy that can be carried out, and the cell as it stands in the file."""

from __future__ import annotations

from datetime import UTC, datetime

import pandas as pd
import pytest

from mlops_assets.core.sources.contract import SourceContract
from mlops_assets.core.sources.contract_check import check_frame
from mlops_assets.core.values.text_times import hint


def _said(kind: str, cell: str) -> str:
    contract = SourceContract.from_dict({"columns": {"v": {"type": kind}}})
    (failure,) = check_frame(contract, pd.DataFrame({"v": ["1", cell]}, dtype=str)).failures
    return failure.sentence


@pytest.mark.parametrize(
    ("cell", "remedy"),
    [
        ("9007199254740993", "`type: integer` or `type: string`."),
        ("1" * 38, "`type: string`."),
        ("-" + "9" * 19, "`type: string`."),
    ],
)
def test_a_type_that_holds_all_digits_is_named(cell: str, remedy: str) -> None:
    assert _said("number", cell).endswith(f"a float would lose their last digits, so declare {remedy}")


@pytest.mark.parametrize(
    ("cell", "why"),
    [
        ("24-01-31", "has a year of two digits: write four"),
        ("2024-01-31 13:00 PM", "13 is no hour beside PM, which go from 1 to 12: leave PM out"),
        ("2024-01-31 00:30:00 a.m.", "0 is no hour beside AM"),
        ("2024-01-31 10:00 EST", "EST is a name that several time zones have"),
    ],
)
def test_what_is_wrong_in_the_file_is_not_sent_to_the_contract(cell: str, why: str) -> None:
    assert why in hint(cell)
    assert "in the contract" not in _said("timestamp", cell).partition("another type")[2]
    assert "in the contract" in _said("timestamp", "31/01/2024")


def test_a_moment_is_quoted_by_the_clock_of_its_file() -> None:
    contract = SourceContract.from_dict({"columns": {"at": "timestamp"}}, event_time="at", tz="Europe/Berlin")
    frame = pd.DataFrame({"at": ["9999-12-31", "9999-12-31T23:30:00Z"]}, dtype=str)
    for rows, quoted in ((frame.iloc[:1], "9999-12-31 00:00:00+01:00"), (frame.iloc[1:], "9999-12-31 23:30:00+00:00")):
        (failure,) = check_frame(contract, rows, now=datetime(2024, 1, 2, tzinfo=UTC)).failures
        assert f"is later than 2024-01-02 00:00 UTC ({quoted})" in failure.sentence
