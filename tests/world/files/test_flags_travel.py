"""One flag, spelled as files, databases, messages and callers spell it, is one kind from the contract to the model.

The flag is drawn from a seeded generator, with gaps; landing, drift, training and serving take each form for the same.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlops_assets.core.drift.grid import Grid
from mlops_assets.core.drift.policy import DriftPolicy
from mlops_assets.core.drift.profile import Profile
from mlops_assets.core.models.matrix import FeatureColumn, WrongColumns, encode
from mlops_assets.core.models.model import Recipe, fit
from mlops_assets.core.models.row_scoring import RowScorer
from mlops_assets.core.sources.contract_cast import conform
from mlops_assets.core.sources.settings import SourceSettings
from mlops_assets.core.sources.stream_rows import judge_messages
from mlops_assets.core.sources.stream_settings import StreamSettings
from mlops_assets.serving.engine.arms import CHAMPION, Arm, Arms
from mlops_assets.serving.engine.row_checks import check
from mlops_assets.serving.errors import Refused
from mlops_assets.serving.http.forms import Misfit
from mlops_assets.serving.log.records import LoggedRow
from mlops_assets.steps.land.landed_rows import parse
from mlops_assets.steps.watch.drift_files import FilesDrift, compare_files
from tests.serving.conftest import contract

ROWS = 3_000
NOW = datetime(2024, 3, 2, tzinfo=UTC)
WORDS = [("true", "false"), ("TRUE", "FALSE"), ("True", "False"), ("t", "f"), ("yes", "no"), ("Y", "N")]
SETTINGS: dict[str, Any] = {
    "name": "pay",
    "description": "One row per payment.",
    "event_time": "at",
    "start": "2024-03-01",
    "contract": {"columns": {"at": {"type": "timestamp"}, "vip": {"type": "boolean", "max_null_share": 1}}},
}

Flags = list[bool | None]


def drawn(seed: int = 0, *, gaps: float = 0.2) -> Flags:
    rng = np.random.default_rng(seed)
    return [None if rng.random() < gaps else bool(rng.random() < 0.4) for _ in range(ROWS)]


def said(flags: Flags, words: tuple[Any, Any]) -> list[Any]:
    return [None if flag is None else words[not flag] for flag in flags]


def as_csv(words: tuple[str, str]) -> Callable[[Flags, Path], Path]:
    def write(flags: Flags, path: Path) -> Path:
        cells = ("" if text is None else text for text in said(flags, words))
        path.with_suffix(".csv").write_text("vip,n\n" + "".join(f"{text},1\n" for text in cells))
        return path.with_suffix(".csv")

    return write


def as_parquet(cells: Callable[[Flags], pa.Array]) -> Callable[[Flags, Path], Path]:
    def write(flags: Flags, path: Path) -> Path:
        pq.write_table(pa.table({"vip": cells(flags)}), path.with_suffix(".parquet"))
        return path.with_suffix(".parquet")

    return write


FORMS: dict[str, Callable[[Flags, Path], Path]] = {
    **{f"csv {words[0]}": as_csv(words) for words in WORDS},
    **{f"text {words[0]}": as_parquet(lambda flags, words=words: pa.array(said(flags, words))) for words in WORDS},
    "parquet": as_parquet(pa.array),
    "dictionary": as_parquet(lambda flags: pa.array(said(flags, ("true", "false"))).dictionary_encode()),
    "floats": as_parquet(lambda flags: pa.array(said(flags, (1.0, 0.0)))),
    "integers": as_parquet(lambda flags: pa.array(said(flags, (1, 0)))),
}


@pytest.mark.parametrize("form", FORMS)
def test_it_lands_as_one(tmp_path: Path, form: str) -> None:
    flags = drawn()
    path = FORMS[form](flags, tmp_path / "a")
    source = SourceSettings.model_validate(SETTINGS)
    raw = parse(path.name, path.read_bytes(), source)
    found = conform(source.rules, raw[["vip"]])
    assert not found.failures
    assert [None if pd.isna(flag) else flag for flag in found.frame["vip"]] == flags


def test_a_message_says_it_in_any_of_them() -> None:
    cells = [True, False, "true", "No", 1, 0, 1.0, None]
    source = StreamSettings.model_validate({**SETTINGS, "stream": {"topic": "pay"}})
    messages = [msgspec.json.decode(json.dumps({"at": "2024-03-01T01:00:00Z", "vip": cell})) for cell in [*cells, "on"]]
    judged = judge_messages(source, messages, now=NOW)
    expected = [True, False, True, False, True, False, True, None]
    assert [None if pd.isna(flag) else flag for flag in judged.rows["vip"]] == expected
    assert judged.poison == {8: "vip is 'on', declared as boolean"}


def compared(a: Path, b: Path) -> FilesDrift:
    return compare_files(str(a), str(b), policy=DriftPolicy.of_preset("default"), columns=["vip"])


@pytest.mark.parametrize("current", FORMS)
@pytest.mark.parametrize("reference", ["csv true", "csv t", "text True", "parquet"])
def test_it_has_not_drifted(tmp_path: Path, reference: str, current: str) -> None:
    flags = drawn()
    found = compared(FORMS[reference](flags, tmp_path / "a"), FORMS[current](flags, tmp_path / "b"))
    assert found.verdict.passed is True, found.verdict.reason
    assert (found.drifts[0].psi, found.drifts[0].new_share, found.drifts[0].missing_change) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("words", WORDS)
@pytest.mark.parametrize("reference", ["csv", "parquet", "text"])
def test_a_word_that_is_new_is_one_category_more(tmp_path: Path, reference: str, words: tuple[str, str]) -> None:
    """Today every hundredth row says `unknown`: that share is new, and the flag is as it was."""
    flags = drawn(gaps=0.0)
    name = {"csv": f"csv {words[0]}", "parquet": "parquet", "text": f"text {words[0]}"}[reference]
    before = FORMS[name](flags, tmp_path / "a")
    after = as_csv(words)(flags, tmp_path / "b")
    lines = after.read_text().splitlines()
    after.write_text("\n".join("unknown,1" if n and n % 100 == 0 else line for n, line in enumerate(lines)) + "\n")
    found = compared(before, after)
    assert found.verdict.passed is True, found.verdict.reason
    assert found.drifts[0].new_share == pytest.approx(0.01, abs=0.001)


def test_letters_that_are_no_flag_stay_apart(tmp_path: Path) -> None:
    letters = np.random.default_rng(3).choice(["T", "Y", "F", "N", "A"], ROWS)
    pq.write_table(pa.table({"vip": letters}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"vip": np.where(letters == "T", "Y", letters)}), tmp_path / "b.parquet")
    assert compared(tmp_path / "a.parquet", tmp_path / "b.parquet").verdict.passed is False


def test_other_numbers_than_0_and_1_are_another_type(tmp_path: Path) -> None:
    FORMS["parquet"](drawn(), tmp_path / "a")
    pq.write_table(pa.table({"vip": np.arange(ROWS), "x": np.arange(ROWS)}), tmp_path / "b.parquet")
    with pytest.raises(ValueError, match="have no column that can be compared"):
        compared(tmp_path / "a.parquet", tmp_path / "b.parquet")


def frames(flags: Flags) -> dict[str, pd.Series]:
    return {
        "objects": pd.Series(flags, dtype=object),
        "nullable": pd.Series(flags, dtype="boolean"),
        "arrow": pd.Series(flags, dtype="bool[pyarrow]"),
        "texts": pd.Series(said(flags, ("true", "False")), dtype=object),
        "strings": pd.Series(said(flags, ("yes", "no")), dtype="string"),
        "floats": pd.Series(said(flags, (1.0, 0.0)), dtype="float64"),
        "integers": pd.Series(said(flags, (1, 0)), dtype="Int64"),
    }


def test_a_model_reads_every_form_alike_and_refuses_others() -> None:
    flags, column = drawn(), [FeatureColumn("vip", "boolean")]
    expected = np.array([[np.nan if flag is None else float(flag)] for flag in flags], dtype=np.float32)
    for name, series in frames(flags).items():
        np.testing.assert_array_equal(encode(series.to_frame("vip"), column, {}), expected, err_msg=name)
    for odd in ("on", 2, 0.5):
        series = pd.Series([*flags, odd], dtype=object)
        with pytest.raises(WrongColumns, match=f"for example {odd!r}, where true or false is expected"):
            encode(series.to_frame("vip"), column, {})


@pytest.mark.parametrize("kind", ["boolean", "categorical"])
def test_the_service_takes_true_and_false_and_nothing_else(kind: str) -> None:
    """Also for a version that was trained when a flag was a category."""
    name = "feat_flight__is_vip"
    vip = np.array([flag is True for flag in drawn()])
    rows, noise = pd.DataFrame({name: vip}), np.random.default_rng(1).random(ROWS) < 0.1
    recipe = Recipe(
        "xgboost", "binary", {"objective": "binary:logistic", "max_depth": 2}, 5, (FeatureColumn(name, kind),)
    )
    model = fit(recipe, rows, (vip ^ noise).astype(int))
    served = contract()
    arms = Arms(replace(served, kinds={**served.kinds, name: "boolean"}), Arm(CHAMPION, 1, "a", RowScorer(model)))
    scores = {flag: float(arms.champion.scorer.predict([{name: flag}])[0]) for flag in (True, False, None)}
    by_frame = model.predict(pd.DataFrame({name: [True, False]}))
    assert [scores[True], scores[False]] == by_frame.tolist()
    assert scores[True] > 0.8 > 0.2 > scores[False]
    form = arms.form
    assert form is not None
    for flag in (True, False, None):
        check(arms, LoggedRow({}, {name: flag}), 0)
        body = {"rows": [{"features": {name: flag}}]}
        assert form.read(json.dumps(body).encode()).values == (flag,)
    for odd in ("true", "false", "yes", 1, 0, 1.0, "unknown"):
        with pytest.raises(Refused, match="must be true, false or null"):
            check(arms, LoggedRow({}, {name: odd}), 0)
        with pytest.raises(Misfit):
            form.read(json.dumps({"rows": [{"features": {name: odd}}]}).encode())


def test_a_profile_of_booleans_knows_their_spellings() -> None:
    """As the monitors hold a day's log, or a posted batch, against a reference of booleans."""
    flags = drawn(gaps=0.0)
    for reference in ("objects", "texts"):
        grid = Grid.from_reference(frames(flags)[reference].to_frame("vip"), {"vip": "categorical"})
        expected = Profile.of(grid, frames(flags)[reference].to_frame("vip")).counts["vip"].tolist()
        assert expected[-1] == 0
        for name, series in frames(flags).items():
            assert Profile.of(grid, series.to_frame("vip")).counts["vip"].tolist() == expected, name
        other = pd.Series(["unknown", "maybe", 2, *said(flags, ("T", "F"))], dtype=object)
        assert Profile.of(grid, other.to_frame("vip")).counts["vip"].tolist() == [*expected[:-1], 3]
