"""A column whose name is a word for missing (NA for sodium) keeps it, in every way in."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from mlops_assets.core.drift.policy import DriftPolicy
from mlops_assets.core.sources.settings import SourceSettings
from mlops_assets.core.values.text_formats import MISSING
from mlops_assets.onboarding.table import read_table
from mlops_assets.onboarding.texts import Reading
from mlops_assets.steps.land.taking_in import parse
from mlops_assets.steps.watch.drift_files import compare_files
from mlops_assets.world.files.table_files import open_table

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
