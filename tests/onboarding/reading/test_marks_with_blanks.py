"""A word for missing means it with blanks around it too, in columns of numbers and of words alike, by every way in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlops_assets.core.sources.contract_check import check_frame
from mlops_assets.core.sources.settings import SourceSettings
from mlops_assets.onboarding.reading.table import read_table
from mlops_assets.steps.land.landed_rows import parse
from mlops_assets.world.files.table_files import open_table

MARKS = ["?", " ?", "? ", "\tNA", " NULL ", "\u00a0-", " "]
SOURCE = SourceSettings.model_validate(
    {
        "name": "adult",
        "description": "One row per person.",
        "event_time": "at",
        "start": "2024-01-01",
        "contract": {
            "columns": {
                "at": {"type": "timestamp"},
                "work": {"type": "string", "max_null_share": 1},
                "age": {"type": "integer", "max_null_share": 1},
            }
        },
    }
)


@pytest.mark.parametrize("mark", MARKS, ids=map(repr, MARKS))
def test_it_is_missing_whatever_the_column_holds(mark: str, tmp_path: Path) -> None:
    r = np.random.default_rng(3)
    is_missing = r.random(200) < 0.2
    rows = pd.DataFrame(
        {"at": "2024-01-01 10:00:00", "work": r.choice(["State", " Private"], 200), "age": r.integers(17, 90, 200)}
    )
    rows["work"], rows["age"] = (
        np.where(is_missing, mark, rows["work"]),
        np.where(is_missing, mark, rows["age"].astype(str)),
    )
    file = tmp_path / "adult.csv"
    rows.to_csv(file, index=False)
    facts = read_table(str(file)).facts
    assert (facts["work"].missing, facts["age"].missing, facts["age"].dtype) == (
        is_missing.sum(),
        is_missing.sum(),
        "BIGINT",
    )
    tables = open_table(str(file))
    assert tables.kinds == {"at": "other", "work": "categorical", "age": "numeric"}
    (batch,) = tables.batches({"work": "categorical", "age": "numeric"})
    assert batch.isna().to_numpy().tolist() == [[one, one] for one in is_missing]
    result = check_frame(SOURCE.rules, parse(file.name, file.read_bytes(), SOURCE))
    assert result.reason == ""
    assert result.frame[["work", "age"]].isna().to_numpy().tolist() == [[one, one] for one in is_missing]


def test_words_with_blanks_are_words(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_text("at,work\n" + "2024-01-01, State\n2024-01-02,N A\n2024-01-03,a ? b\n" * 20)
    assert read_table(str(file)).facts["work"].missing == 0
    assert parse("t.csv", file.read_bytes(), SOURCE)["work"].tolist()[:3] == [" State", "N A", "a ? b"]
