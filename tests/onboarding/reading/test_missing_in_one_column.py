"""`--missing COL=WORD` and `null_values` of a column: missing there, a value everywhere else."""

from __future__ import annotations

import shlex
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from mlops_assets.core.sources.contract import Column, SourceContract
from mlops_assets.core.sources.contract_cast import conform
from mlops_assets.core.sources.settings import SourceSettings
from mlops_assets.onboarding.asked import Asked
from mlops_assets.onboarding.files import render
from mlops_assets.onboarding.identity import CannotOnboard
from mlops_assets.onboarding.plan import Plan, make_plan
from mlops_assets.steps.land.landed_rows import parse
from mlops_assets.world.project import PROJECT

ROWS = 600
ODD = np.arange(ROWS) % 20 == 3


def frame() -> pd.DataFrame:
    """Seed 2: -1 means missing in `score`, and is a value of `change`; `unknown` means missing in `size` alone."""
    rng = np.random.default_rng(2)
    return pd.DataFrame(
        {
            "at": pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(ROWS) // 10, unit="D"),
            "score": np.where(ODD, -1.0, rng.uniform(20, 90, ROWS).round(1)),
            "change": rng.integers(-3, 4, ROWS),
            "size": np.where(ODD, "unknown", rng.integers(10, 60, ROWS).astype(str)),
            "mood": rng.choice(["good", "bad", "unknown"], ROWS),
            "y": rng.integers(0, 2, ROWS),
        }
    )


def planned(folder: Path, suffix: str, *missing: str, **cells: object) -> Plan:
    rows, file = frame().assign(**cells), folder / f"t.{suffix}"
    for place, part in enumerate(np.array_split(rows.index, 2)):
        file = folder / f"t{place}.{suffix}"
        if suffix == "parquet":
            rows.loc[part].to_parquet(file, index=False)
        else:
            rows.loc[part].to_csv(file, index=False)
    return make_plan(Asked("t", str(folder / f"*.{suffix}"), label="y", missing=missing))


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_they_are_missing_there_alone(suffix: str, tmp_path: Path) -> None:
    plan = planned(tmp_path, suffix, "score=-1", "size=unknown", "size=none")
    facts, rows = plan.table.facts, frame()
    assert facts["score"].missing == facts["size"].missing == int(ODD.sum())
    assert facts["change"].missing == facts["mood"].missing == 0
    assert facts["change"].low == "-3" and float(facts["score"].low or 0) >= 20
    assert plan.table.first("select sum(change), count(*) filter (mood = 'unknown') from landed") == (
        rows.change.sum(),
        (rows.mood == "unknown").sum(),
    )
    if suffix == "csv":
        assert facts["size"].dtype == "BIGINT"
    (said,) = [note for note in plan.notes if note.startswith("Read as missing")]
    assert f"({int(ODD.sum())} in score)" in said and f"'unknown' ({int(ODD.sum())} in size)" in said


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_files_that_land_later_are_read_the_same(suffix: str, tmp_path: Path) -> None:
    """The contract that is written says it, and empties the same cells of the same file."""
    plan = planned(tmp_path, suffix, "score=-1", "size=unknown")
    text = render(plan)[Path(f"{PROJECT.module}/defs/t/defs.yaml")]
    source = SourceSettings.model_validate(next(iter(yaml.safe_load_all(text)))["attributes"])
    raw = parse(f"t.{suffix}", (tmp_path / f"t0.{suffix}").read_bytes(), source)
    landed = conform(source.rules, raw).frame
    odd = ODD[: ROWS // 2]
    assert landed.score.isna().tolist() == landed["size"].isna().tolist() == odd.tolist()
    assert landed.change.tolist() == frame().change[: ROWS // 2].tolist()
    assert landed.mood.notna().all()


@pytest.mark.parametrize("kind", ["float64", "float32", "string", "object", "Float64", "Int64"])
def test_a_contract_empties_texts_and_numbers(kind: str) -> None:
    contract = SourceContract(
        columns={"x": Column("number", null_values=(-1, "99.9", "unknown")), "z": Column("number")}
    )
    values = ["-1", "5", "-1.0", "7"] if kind == "Int64" else ["-1", "5", "99.9", "7"]
    raw = (
        pd.Series(pd.to_numeric(values)).astype(kind)
        if kind not in ("string", "object")
        else pd.Series(values, dtype=kind)
    )
    done = conform(contract, pd.DataFrame({"x": raw, "z": raw}))
    assert done.frame.x.isna().tolist() == [True, False, True, False]
    assert done.frame.z.notna().all() and not done.failures


def test_a_word_among_numbers_is_no_wrong_type_there() -> None:
    contract = SourceContract(columns={"x": Column("integer", null_values=("unknown",)), "z": Column("integer")})
    texts = pd.Series(["1", " unknown ", "3"], dtype="string")
    done = conform(contract, pd.DataFrame({"x": texts, "z": texts}))
    assert [(failure.rule, failure.column) for failure in done.failures] == [("type", "z")]
    assert done.frame.x.tolist()[::2] == [1, 3]


def test_a_date_is_compared_as_a_date() -> None:
    contract = SourceContract(columns={"until": Column("timestamp", null_values=("9999-12-31",))})
    done = conform(contract, pd.DataFrame({"until": ["2024-01-01", "9999-12-31T00:00:00", "9999-12-31"]}))
    assert done.frame.until.isna().tolist() == [False, True, True]


def test_a_column_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CannotOnboard, match="`--missing scroe`: name one of at, score, change"):
        planned(tmp_path, "csv", "scroe=-1")


def test_a_text_in_place_of_a_list_is_refused() -> None:
    with pytest.raises(ValueError, match=r"null_values is 'unknown': write a list, such as \[-1, unknown\]"):
        Column("string", null_values="unknown")  # type: ignore[arg-type]


def test_a_word_that_stands_nowhere_is_named(tmp_path: Path) -> None:
    plan = planned(tmp_path, "csv", "score=-1.0", "score=-7", "size=unknown", "gone")
    said = [warning for warning in plan.warnings if "--missing" in warning]
    assert [warning.partition(",")[0] for warning in said] == ["No cell of score holds -7", "No cell holds gone"]
    (said,) = [warning for warning in planned(tmp_path, "csv", "=-1").warnings if warning.startswith("No cell")]
    assert said.endswith("or name its column: `--missing COL=-1`.")


@pytest.mark.parametrize("word", ["n.a..", "n/a; none", "see `notes`", "it's"])
def test_a_hint_is_typed_as_it_stands(word: str, tmp_path: Path) -> None:
    """What a shell makes of the text between the backticks is the option that reads the cell as missing."""
    cells = [word if i == 3 else f"{i}.5" for i in range(ROWS)]
    plan = planned(tmp_path, "csv", score=cells)
    (said,) = [warning for warning in plan.warnings if warning.startswith("score is")]
    option, value = shlex.split(said[said.index("`--") + 1 : said.rindex("`")])
    assert (option, value) == ("--missing", f"score={word}")
    assert planned(tmp_path, "csv", value, score=cells).table.facts["score"].dtype == "DOUBLE"


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_column_that_holds_nothing_else_promises_nothing(suffix: str, tmp_path: Path) -> None:
    """A word of which all cells are one leaves a column without values: no category, no range, and any may come."""
    plan = planned(tmp_path, suffix, "score=-1", score=-1)
    (text,) = [text for path, text in render(plan).items() if path.name == "defs.yaml"]
    declared = next(line for line in text.splitlines() if line.strip().startswith("score:"))
    assert (
        'null_values: ["-1"]' in declared
        and "allowed" not in declared
        and declared.count("seen") == 1
        and "no value seen" in declared
    )
