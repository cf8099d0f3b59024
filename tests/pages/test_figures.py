from __future__ import annotations

import base64
import xml.etree.ElementTree as ET

import pandas as pd
import pytest

from mlops_assets.pages.figures import feature_importance, validation_curve
from mlops_assets.pages.markdown import markdown_table
from mlops_assets.pages.palette import LIGHT
from mlops_assets.pages.svg import markdown_bars, markdown_intervals, markdown_lines

CURVE = pd.DataFrame(
    {
        "trial": [0, 0, 0, 1, 1, 2],
        "round": [1, 2, 3, 1, 2, 1],
        "value": [0.60, 0.72, 0.70, 0.65, 0.68, 0.71],
    },
    index=[0, 1, 2, 0, 1, 0],  # as after pd.concat
)


@pytest.mark.parametrize(("metric", "best", "rounds"), [("auc", 0, 2), ("logloss", 0, 1), ("rmse", 0, 1)])
def test_validation_shows_the_best_trial_bold(metric: str, best: int, rounds: int) -> None:
    picture = validation_curve(CURVE, metric)
    assert {f"{metric} on the validation rows: trial {best} of 3 in bold", f"{rounds} rounds"} <= set(_texts(picture))
    assert picture.count(f"stroke: {LIGHT['auto']}; stroke-width: 3") == 1
    assert picture.count(f"stroke: {LIGHT['fill']}") == 2
    assert picture == validation_curve(CURVE, metric)


def test_validation_takes_the_best_trial_it_is_told() -> None:
    told = _texts(validation_curve(CURVE, "auc", best_trial=1, rounds=2))
    assert {"auc on the validation rows: trial 1 of 3 in bold", "2 rounds"} <= set(told)


def test_validation_without_trials_says_so() -> None:
    assert "No trial has finished" in _texts(validation_curve(CURVE.iloc[:0], "auc"))


def test_importance_sums_what_it_leaves_out() -> None:
    told = _texts(feature_importance({"a": 0.1, "b": 0.5, "c": 0.25, "d": 0.15}, top=2))
    assert [text for text in told if text in ("a", "b", "c", "d", "2 others")] == ["b", "c", "2 others"]
    assert [text for text in told if text.startswith("0.")] == ["0.5", "0.25", "0.25"]


def test_markdown_bars_are_a_deterministic_picture() -> None:
    rows = [
        ("temperature", 1.4),
        ("a_name_that_is_much_longer_than_the_margin", 0.1),
        ("carrier", None),
        ("$x_1$", 0.0),
    ]
    first = markdown_bars(rows, limit=0.2, title="PSI [by] feature")
    assert first == markdown_bars(rows, limit=0.2, title="PSI [by] feature")
    assert first.startswith("![PSI  by  feature](data:image/svg+xml;base64,")
    words = _words(first)
    assert {"temperature", "n/a", "1.4", "$x_1$", "a_name_that_i…an_the_margin"} <= set(words)
    # An event log holds it for ever: keep it small.
    assert len(first) < 20_000


def test_markdown_lines_take_gaps_bounds_and_limits() -> None:
    labels = ["2013-04", "2013-05", "2013-06"]
    bounds = ([0.6, None, 0.6], [0.8, None, 0.8])
    picture = markdown_lines(
        labels, {"flight_delay": [0.7, None, 0.7]}, title="roc_auc", limits=[0.65, None, 0.65], bounds=bounds
    )
    assert {"2013-04", "flight_delay", "roc_auc"} <= set(_words(picture))
    weeks = markdown_lines(["2013-05-06..2013-05-12"], {"mae": [1.0]}, title="by week")
    assert "2013-05-06" in _words(weeks)
    nothing = markdown_lines([], {"flight_delay": []}, title="no window yet")
    assert "no window yet" in _words(nothing)
    with pytest.raises(ValueError, match=r"pass one per label"):
        markdown_lines(labels, {"a": [1.0]}, title="x")


def test_bars_of_nothing() -> None:
    assert "PSI" in _words(markdown_bars([], limit=None, title="PSI"))


def _words(markdown: str) -> list[str]:
    data = markdown.partition("base64,")[2].rstrip(")")
    return _texts(base64.b64decode(data).decode())


def _texts(svg: str) -> list[str]:
    tree = ET.fromstring(svg)
    return [element.text or "" for element in tree.iter() if element.tag.endswith("text")]


def test_a_loss_is_told_as_one_and_long_names_keep_both_ends() -> None:
    words = set(
        _words(
            markdown_bars([("origin_departure_delay_mean_28d", -12.0), ("b", 3.0)], limit=1.0, title="Gain in percent")
        )
    )
    assert {"-12", "origin_depart…elay_mean_28d"} <= words


def test_intervals_name_what_they_are_of_and_worse_ones_stand_out() -> None:
    rows = [("over the champion", 0.02, 0.01, 0.03), ("origin=EWR", -0.02, -0.03, -0.01)]
    first = markdown_intervals(rows, title="Gain")
    assert first == markdown_intervals(rows, title="Gain")
    for told in ("Gain", "over the champion", "origin=EWR"):
        assert told in _words(first)
    svg = base64.b64decode(first.split("base64,")[1].rstrip(")")).decode()
    assert LIGHT["bad"] in svg
    assert (
        LIGHT["bad"]
        not in base64.b64decode(markdown_intervals(rows[:1], title="Gain").split("base64,")[1].rstrip(")")).decode()
    )


def test_a_table_may_leave_out_columns_that_say_nothing() -> None:
    rows = [("a", 1.0, None, ""), ("b", None, None, "few")]
    assert markdown_table(rows, header=["x", "y", "y", "why"], without_empty=True).splitlines()[0].split() == [
        "|", "x", "|", "y", "|", "why", "|",
    ]  # fmt: skip
    assert markdown_table(rows, header=["x", "y", "y", "why"]).splitlines()[0].count("|") == 5
    assert markdown_table([], header=["x", "y"], without_empty=True).splitlines()[0].count("|") == 3
