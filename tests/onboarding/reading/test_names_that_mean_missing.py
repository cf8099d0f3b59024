"""A column whose name is a word for missing (NA for sodium) keeps it, in every way in."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from mlops_assets.core.drift.policy import DriftPolicy
from mlops_assets.core.sources.settings import SourceSettings
from mlops_assets.core.values.text_formats import MISSING
from mlops_assets.onboarding.asked import Asked
from mlops_assets.onboarding.files import render
from mlops_assets.onboarding.plan import make_plan
from mlops_assets.onboarding.reading.instructions import Reading
from mlops_assets.onboarding.reading.table import read_table
from mlops_assets.steps.land.landed_rows import parse
from mlops_assets.steps.watch.drift_files import compare_files
from mlops_assets.world.files.table_files import open_table
from mlops_assets.world.project import PROJECT

WORDS = ["NA", "null", "NULL", "None", "nan", "-", "?", "N/A", "inf", "#REF!"]


def _write(path: Path, names: list[str], rows: int = 200, separator: str = ",", first: int = 0) -> Path:
    """A column `at`, one that has the row's number and every tenth cell missing, and `K`: a thousand more."""
    cells = {"at": lambda i: f"2024-01-{i % 28 + 1:02}", "K": lambda i: str(1000 + i)}
    word = next(name for name in names if name not in cells)
    cells[word] = lambda i: "NA" if i % 10 == 0 else str(i)
    lines = [names, *([cells[name](i) for name in names] for i in range(first, first + rows))]
    text = "\n".join(separator.join(line) for line in lines) + "\n"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def _sums(pattern: object, word: str, missing: tuple[str, ...] = MISSING) -> tuple[int, ...]:
    table = read_table(str(pattern), reading=Reading(missing=missing))
    assert list(table.facts) == ["at", word, "K"]
    assert {table.facts[word].dtype, table.facts["K"].dtype} == {"BIGINT"}
    return table.first(f'select count(*), count("{word}"), sum("{word}"), sum("K"), sum(("K" - "{word}")) from landed')


def _by_hand(rows: int) -> tuple[int, ...]:
    known = [i for i in range(rows) if i % 10]
    return rows, len(known), sum(known), sum(1000 + i for i in range(rows)), 1000 * len(known)


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize(("suffix", "separator"), [(".csv", ","), (".tsv", "\t"), (".csv", ";"), (".csv.gz", ",")])
def test_it_keeps_its_name_in_any_order_of_columns(word: str, suffix: str, separator: str, tmp_path: Path) -> None:
    one = _write(tmp_path / "d" / f"a{suffix}", ["at", word, "K"], separator=separator)
    assert _sums(one, word) == _by_hand(200)
    _write(tmp_path / "d" / f"b{suffix}", ["K", "at", word], separator=separator, first=200)
    assert _sums(tmp_path / "d", word) == _by_hand(400)


def test_a_word_that_a_person_named_is_a_name_too(tmp_path: Path) -> None:
    _write(tmp_path / "d" / "a.csv", ["at", "gone", "K"])
    _write(tmp_path / "d" / "b.csv", ["K", "gone", "at"], first=200)
    assert _sums(tmp_path / "d", "gone", (*MISSING, "gone")) == _by_hand(400)


@pytest.mark.parametrize("word", WORDS)
def test_landing_and_drift_know_it_by_its_name(word: str, tmp_path: Path) -> None:
    one = _write(tmp_path / "one.csv", ["at", word, "K"])
    other = _write(tmp_path / "other.csv", ["K", "at", word])
    source = SourceSettings.model_validate(
        {
            "name": "lab",
            "description": "One row is one sample.",
            "start": "2024-01-01",
            "event_time": "at",
            "contract": {"columns": {"at": {"type": "timestamp"}, word: {"type": "integer", "max_null_share": 1.0}}},
        }
    )
    frame = parse("lab.csv", other.read_bytes(), source)
    assert list(frame) == ["K", "at", word]
    assert int(frame[word].isna().sum()) == 20
    assert list(open_table(str(one)).kinds) == ["at", word, "K"]
    drift = compare_files(str(one), str(other), policy=DriftPolicy(), columns=[word])
    assert [(found.feature, found.psi) for found in drift.drifts] == [(word, 0.0)]


# --- words in text columns of Parquet -----------------------------------------------------------------------------


def _parquet(path: Path, words: list[str | None]) -> Path:
    at = pd.date_range("2024-01-01", periods=300, freq="8h")
    columns = {"at": at, "colour": [words[i % len(words)] for i in range(300)], "x": np.arange(300) % 7}
    pd.DataFrame({**columns, "y": np.arange(300) % 2}).to_parquet(path)
    return path


_ASKED = [("NULL", {}), ("gone", {"missing": ("gone",)}), ("NULL", {"missing": ("NULL",)})]


@pytest.mark.parametrize(("word", "asked"), _ASKED)
def test_a_word_for_missing_is_one_in_parquet_too(word: str, asked: dict[str, Any], tmp_path: Path) -> None:
    """In new-model, which says so; and in what lands later, since its YAML says so."""
    file = _parquet(tmp_path / "t.parquet", ["red", word, "blue", None, "", " "])
    plan = make_plan(Asked("t", str(file), **asked))
    assert (plan.table.facts["colour"].missing, set(plan.table.facts["colour"].values)) == (200, {"red", "blue"})
    assert any("Read as missing" in note and f"{word!r} (50 in colour)" in note for note in plan.notes)
    text = render(plan)[Path(f"{PROJECT.module}/defs/t/defs.yaml")]
    source = SourceSettings.model_validate(next(iter(yaml.safe_load_all(text)))["attributes"])
    assert word in source.null_values
    assert parse("t.parquet", file.read_bytes(), source)["colour"].isna().sum() == 150
    kept = make_plan(Asked("t", str(file), not_missing=(word,)))
    assert word in kept.table.facts["colour"].values


def test_an_empty_text_of_parquet_is_missing_as_in_csv(tmp_path: Path) -> None:
    file = _parquet(tmp_path / "t.parquet", ["red", "", "blue"])
    plan = make_plan(Asked("t", str(file)))
    assert (plan.table.facts["colour"].missing, set(plan.table.facts["colour"].values)) == (100, {"red", "blue"})
    assert any("Read as missing" in note and "'' (100 in colour)" in note for note in plan.notes)
    text = render(plan)[Path(f"{PROJECT.module}/defs/t/defs.yaml")]
    source = SourceSettings.model_validate(next(iter(yaml.safe_load_all(text)))["attributes"])
    assert parse("t.parquet", file.read_bytes(), source)["colour"].isna().sum() == 100
    kept = make_plan(Asked("t", str(file), not_missing=("",)))
    assert "" in kept.table.facts["colour"].values


def test_a_source_that_does_not_say_so_keeps_the_texts_of_parquet(tmp_path: Path) -> None:
    """A database that has the country NA means Namibia."""
    file = _parquet(tmp_path / "t.parquet", ["NA", "ZA"])
    plan = make_plan(Asked("t", str(file), not_missing=("NA",)))
    text = render(plan)[Path(f"{PROJECT.module}/defs/t/defs.yaml")]
    source = SourceSettings.model_validate(next(iter(yaml.safe_load_all(text)))["attributes"])
    silent = SourceSettings.model_validate(source.model_dump(exclude={"null_values"}))
    for settings in (source, silent):
        assert parse("t.parquet", file.read_bytes(), settings)["colour"].isna().sum() == 0
    reading = Reading("UTC", tuple(silent.null_values), in_parquet=silent.says_missing)
    assert read_table(str(file), reading=reading).facts["colour"].missing == 0
