"""Golden sets: what a person is shown, what is refused, and rows that pass, fail or have expired."""

from __future__ import annotations

import io
from datetime import date

import numpy as np
import pandas as pd
import pytest

from mlops_assets.core.models.matrix import FeatureColumn, encode
from mlops_assets.core.promote.golden import checked, choose_rows, golden_rule

COLUMNS = (FeatureColumn("x", "numeric"), FeatureColumn("code", "categorical"), FeatureColumn("open", "boolean"))
EXPIRES = date(2013, 6, 30)


def rows(n: int = 100) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "id": np.arange(n),
            "x": np.where(np.arange(n) % 7, np.linspace(0, 1, n), np.nan),
            "code": np.array([1.0, 2.0, np.nan, 10.0])[np.arange(n) % 4],
            "open": pd.array(np.array([True, False, None])[np.arange(n) % 3], dtype="boolean"),
        }
    )


def chosen(n: int = 5) -> pd.DataFrame:
    scores = np.linspace(0.9, 0.1, 100)
    return choose_rows(rows(), scores, COLUMNS, n=n, tolerance=0.1, expires=EXPIRES, keys=["id"])


def test_rows_run_from_the_lowest_score_to_the_highest() -> None:
    frame = chosen()
    assert frame["expected_score"].tolist() == pytest.approx([0.1, 0.3, 0.5, 0.7, 0.9], abs=0.005)
    assert frame["id"].tolist() == [99, 74, 49, 25, 0]  # ranks 0, 24.75, 49.5, 74.25 and 99, rounded
    assert list(frame) == ["id", "expected_score", "tolerance", "expires", "x", "code", "open"]
    assert len(chosen(500)) == 100


def test_a_csv_gives_the_model_the_same_matrix() -> None:
    frame = chosen(100)
    back = pd.read_csv(
        io.StringIO(frame.to_csv(index=False)), dtype={"code": str}, keep_default_na=False, na_values=[""]
    )
    known = {"code": ("1", "2", "10")}
    matrix = encode(rows().iloc[frame["id"]], COLUMNS, known)
    np.testing.assert_array_equal(encode(checked(back, COLUMNS, "binary"), COLUMNS, known), matrix)


def test_of_classes_the_label_is_agreed() -> None:
    scores = np.random.default_rng(1).dirichlet([1, 1, 1], 100)
    frame = choose_rows(rows(), scores, COLUMNS, n=10, tolerance=0.1, expires=EXPIRES, keys=["id"])
    assert frame["expected_label"].tolist() == scores[frame["id"]].argmax(axis=1).tolist()
    assert golden_rule(checked(frame, COLUMNS, "multiclass"), scores[frame["id"]], EXPIRES)[0].passed
    (rule,) = golden_rule(checked(frame, COLUMNS, "multiclass"), np.roll(scores[frame["id"]], 1, axis=1), EXPIRES)
    assert (rule.passed, rule.value) == (False, 10.0)


def test_within_the_tolerance_passes_and_beyond_it_fails() -> None:
    frame = checked(chosen(), COLUMNS, "binary")
    agreed = frame["expected_score"].to_numpy()
    (same,) = golden_rule(frame, agreed + 0.0999, EXPIRES)
    assert (same.name, same.passed, same.value, same.limit) == ("golden_set_holds", True, 0.0, 0.0)
    (off,) = golden_rule(frame, agreed + np.array([0, 0, 0.11, 0, 0]), EXPIRES)
    assert (off.passed, off.value) == (False, 1.0)
    assert "1 of 5 golden rows are off: row 3 scores 0.6" in off.sentence


def test_a_label_may_be_agreed_beside_a_score() -> None:
    frame = checked(chosen().assign(expected_label=[0, 0, 0, 1, 1], tolerance=1.0), COLUMNS, "binary")
    (rule,) = golden_rule(frame, np.array([0.1, 0.1, 0.6, 0.6, 0.6]), EXPIRES)
    assert (rule.passed, rule.value) == (False, 1.0)
    assert "is called 1, 0 agreed" in rule.sentence


def test_expired_rows_say_nothing() -> None:
    frame = chosen()
    frame.loc[:1, "expires"] = "2013-05-31"
    frame = checked(frame, COLUMNS, "binary")
    wrong = np.where(np.arange(5) < 2, 5.0, frame["expected_score"])
    assert not golden_rule(frame, wrong, date(2013, 5, 31))[0].passed
    (rest,) = golden_rule(frame, wrong, date(2013, 6, 1))
    assert rest.passed
    assert "all 3 golden rows are predicted as agreed (2 more have expired)" in rest.sentence
    (none,) = golden_rule(frame, wrong, date(2013, 7, 1))
    assert (none.passed, none.value) == (True, None)
    assert none.sentence.startswith("WARNING: all 5 rows of the golden set have expired, the last on 2013-06-30")


@pytest.mark.parametrize(
    ("change", "task", "why"),
    [
        (lambda f: f.drop(columns="x"), "binary", "lacks 1 of the model's features: x"),
        (lambda f: f.iloc[:0], "binary", "has no rows"),
        (lambda f: f.assign(expires="soon"), "binary", "needs a date"),
        (lambda f: f.drop(columns="expires"), "binary", "needs a date"),
        (lambda f: f.drop(columns="expected_score"), "binary", "needs a column `expected_score` or"),
        (lambda f: f.drop(columns="tolerance"), "binary", "without `tolerance`"),
        (lambda f: f.assign(tolerance=-1), "binary", "zero or more in every row of `tolerance`"),
        (lambda f: f.assign(expected_score="high"), "binary", "number in every row of `expected_score`"),
        (lambda f: f, "multiclass", "give `expected_label`"),
        (lambda f: f.assign(expected_label=1), "regression", "has no classes"),
    ],
)
def test_a_table_that_cannot_be_held_says_what_to_change(change: object, task: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        checked(change(chosen()), COLUMNS, task)
