"""Numbers with their sign: the same numbers by every way in, and codes and telephone numbers stay texts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlops_assets.onboarding.reading.instructions import Reading
from mlops_assets.onboarding.reading.table import read_table
from mlops_assets.world.files.table_files import open_table
from tests.onboarding.reading.test_texts import HOURS, ROWS, dropped_rows, landed_rows, planned, source, streamed_rows

SIGNED: dict[str, tuple[Callable[[float], str], str]] = {
    "all with a sign": (lambda v: f"{v:+.1f}", "number"),
    "some with a sign": (lambda v: f"{v:+.3f}" if v > 2 else f"{v:.3f}", "number"),
    "whole": (lambda v: f"{v * 10:+.0f}", "integer"),
    "with an exponent": (lambda v: f"{v:+.3e}", "number"),
    "a minus behind": (lambda v: f"{abs(v):,.2f}{'-' if v < 0 else ''}", "number"),
    "a minus behind, and thousands": (lambda v: f"{abs(v) * 1e4:,.2f}{'-' if v < 0 else ''}", "number"),
}


def drawn(seed: int = 7) -> list[float]:
    return [float(v) for v in np.random.default_rng(seed).normal(0, 2, ROWS).round(2)]


def csv(folder: Path, texts: list[str], name: str = "t.csv") -> Path:
    rows = pd.DataFrame({"at": [at.isoformat() for at in HOURS], "v": texts, "y": [i % 2 for i in range(ROWS)]})
    rows.to_csv(folder / name, index=False)
    return folder / name


@pytest.mark.parametrize("case", list(SIGNED))
def test_they_are_the_same_by_every_way_in(case: str, tmp_path: Path) -> None:
    write, kind = SIGNED[case]
    texts = [write(v) for v in drawn()]
    numbers = [float(t.replace(",", "").rstrip("-")) * (-1 if t.endswith("-") else 1) for t in texts]
    file = csv(tmp_path, texts)
    plan = planned(file, time="at")
    settings = source(plan)
    assert settings.contract.columns["v"].type == kind
    assert [c.role for c in plan.columns if c.name == "v"] == ["numeric"]
    ways = {
        "new-model": landed_rows(plan, settings, tmp_path / "a").sort_values("at"),
        "drop": dropped_rows(file, settings),
        "stream": streamed_rows(file, settings),
    }
    for way, rows in ways.items():
        np.testing.assert_allclose(rows["v"].astype(float), numbers, err_msg=way)
    drift = pd.concat(open_table(str(file)).batches({"v": "numeric"}))
    np.testing.assert_allclose(drift["v"].astype(float), numbers)


@pytest.mark.parametrize("made", ["csv", "parquet"])
@pytest.mark.parametrize(
    "texts",
    [
        [f"+49170{1_000_000 + 7 * i}" for i in range(ROWS)],
        [f"+49170{1_000_000 + 7 * i}" if i % 2 else f"0170{i:07}" for i in range(ROWS)],
        [f"+49170{1_000_000 + 7 * i}" if i % 2 else f"+49 170 {100 + i} 4{i % 9}5" for i in range(ROWS)],
        [f"+{10**19 + i}" for i in range(ROWS)],
        [f"+{i}" if i % 2 else f"0{i}" for i in range(ROWS)],
        ["+", *["+1"] * (ROWS - 1)],
    ],
)
def test_telephone_numbers_and_codes_stay_texts(texts: list[str], made: str, tmp_path: Path) -> None:
    file = csv(tmp_path, texts)
    if made == "parquet":
        file = tmp_path / "t.parquet"
        pq.write_table(pa.table({"at": HOURS, "v": texts, "y": [i % 2 for i in range(ROWS)]}), file)
    table = read_table(str(file))
    assert table.facts["v"].dtype == "VARCHAR"
    assert [text for (text,) in table.connection.execute("select v from landed order by rowid").fetchall()] == texts
    assert open_table(str(file)).kinds["v"] == "categorical"


def test_beside_decimal_commas_a_point_is_what_it_is_there(tmp_path: Path) -> None:
    rows = {"v": [f"{1_000 + i:+,}".replace(",", ".") for i in range(ROWS)], "w": [f"{i},5" for i in range(ROWS)]}
    file = tmp_path / "t.csv"
    pd.DataFrame({"at": [at.isoformat() for at in HOURS], **rows}).to_csv(file, index=False, sep=";")
    table = read_table(str(file), reading=Reading())
    assert table.texts.formats["v"] == "comma"
    assert table.first("select min(v), max(v) from landed") == (1_000, 999 + ROWS)


def test_a_column_that_is_declared_as_text_stays_one(tmp_path: Path) -> None:
    file = csv(tmp_path, [f"{v:+.1f}" for v in drawn()])
    assert read_table(str(file), reading=Reading(asked=("v",))).facts["v"].dtype == "VARCHAR"
