"""Infinities, NaN and texts such as 0x1f3: the same by every way in, and said."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from mlops_assets.core.sources.contract import SourceContract
from mlops_assets.core.sources.contract_check import check_frame, check_frames
from mlops_assets.core.sources.stream_rows import judge_messages
from mlops_assets.core.sources.stream_settings import StreamSettings
from mlops_assets.core.values.exact import frame_of
from mlops_assets.onboarding.reading.table import read_table
from mlops_assets.world.files.table_files import open_table
from tests.onboarding.reading.test_texts import HOURS, ROWS, dropped_rows, landed_rows, planned, source, streamed_rows

WORDS = ["iNf", "NAN", "Nan", "-nAn", "InFinity", "-INFINITY", "1e400"]
PLACES = np.arange(ROWS) % 9 == 2


def csv(folder: Path, cells: list[object]) -> Path:
    rows = {"at": [at.isoformat() for at in HOURS], "v": cells, "y": [i % 2 for i in range(ROWS)]}
    pd.DataFrame(rows).to_csv(folder / "t.csv", index=False)
    return folder / "t.csv"


def contract(type_: str) -> SourceContract:
    return SourceContract.from_dict({"columns": {"v": {"type": type_, "max_null_share": 1}}})


@pytest.mark.parametrize("word", WORDS)
def test_an_infinite_or_no_number_is_missing_by_every_way_in(word: str, tmp_path: Path) -> None:
    file = csv(tmp_path, [word if odd else i / 4 for i, odd in enumerate(PLACES)])
    plan = planned(file, time="at")
    assert f"v is infinite or NaN in {PLACES.sum()} rows: missing there." in plan.notes
    settings = source(plan)
    ways = {
        "new-model": landed_rows(plan, settings, tmp_path / "a").sort_values("at"),
        "drop": dropped_rows(file, settings),
        "stream": streamed_rows(file, settings),
    }
    for way, rows in ways.items():
        assert rows["v"].isna().tolist() == PLACES.tolist(), way
        assert np.isfinite(rows["v"].dropna()).all(), way


def test_those_of_parquet_are_missing_too(tmp_path: Path) -> None:
    values = [(np.inf, -np.inf)[i % 2] if odd else i / 4 for i, odd in enumerate(PLACES)]
    pd.DataFrame({"at": HOURS, "v": values, "y": np.arange(ROWS) % 2}).to_parquet(tmp_path / "t.parquet")
    table = read_table(str(tmp_path / "t.parquet"))
    assert table.facts["v"].missing == PLACES.sum()
    assert table.first("select count(*) from landed where not isfinite(v)") == (0,)
    assert table.texts.notes == (f"v is infinite or NaN in {PLACES.sum()} rows: missing there.",)


@pytest.mark.parametrize("type_", ["number", "integer", "string", "boolean"])
@pytest.mark.parametrize("kind", [pa.float32(), pa.float64()])
def test_a_day_lands_without_them_and_says_where(type_: str, kind: pa.DataType) -> None:
    good, odd = (frame_of(pa.table({"v": pa.array(v, kind)})) for v in ([1.0, 0.0, None], [1.0, np.inf, -np.inf]))
    note = "2 rows of v (rows 2, 3): infinite or NaN, so missing."
    results = check_frames(contract(type_), [good, odd, good], partitions=[None] * 3)
    assert [result.notes for result in results] == [(), (note,), ()]
    for result in (results[1], check_frame(contract(type_), odd)):
        assert result.ok
        assert result.frame["v"].isna().tolist() == [False, True, True]


@pytest.mark.parametrize("cell", ["Infinity", float("-inf"), "nan"])
@pytest.mark.parametrize("rule", [{}, {"max_null_share": 1}])
def test_a_message_is_refused_with_one_where_nothing_may_be_missing(cell: object, rule: dict[str, Any]) -> None:
    stream = StreamSettings.model_validate(
        {
            "name": "s", "description": "x", "event_time": "at", "start": "2024-03-01", "stream": {"topic": "s"},
            "contract": {"columns": {"at": {"type": "timestamp"}, "v": {"type": "number", **rule}}},
        }
    )  # fmt: skip
    judged = judge_messages(stream, [{"at": "2024-03-01T01:00:00Z", "v": cell}], now=datetime(2024, 3, 2, tzinfo=UTC))
    assert bool(judged.poison) == (not rule)


@pytest.mark.parametrize("write", [hex, bin, lambda n: hex(n).upper()])
def test_hexadecimal_and_binary_texts_name_something(write: Any, tmp_path: Path) -> None:
    texts: list[object] = [str(i) if i % 3 else write(256 + i) for i in range(ROWS)]
    file = csv(tmp_path, texts)
    pd.read_csv(file).assign(w=np.arange(ROWS) % 7).to_csv(file, index=False)
    plan = planned(file, time="at")
    assert plan.table.facts["v"].dtype == "VARCHAR"
    assert f"v has texts such as {texts[0]}, which name something: it is text." in plan.notes
    settings = source(plan)
    for rows in (landed_rows(plan, settings, tmp_path / "a").sort_values("at"), dropped_rows(file, settings)):
        assert rows["v"].tolist() == texts
    assert open_table(str(file)).kinds["v"] == "categorical"
    assert not check_frame(contract("integer"), pd.DataFrame({"v": texts})).ok


def test_such_letters_elsewhere_change_nothing(tmp_path: Path) -> None:
    file = csv(tmp_path, list(range(ROWS)))
    pd.read_csv(file).assign(code=[f"a0x{i}" for i in range(ROWS)]).to_csv(file, index=False)
    assert read_table(str(file)).facts["v"].dtype == "BIGINT"
    assert open_table(str(file)).kinds["v"] == "numeric"
