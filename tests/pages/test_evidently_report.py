from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from mlops_assets.pages.evidently_report import drift_report_html


def _frame(shift: float, rows: int = 400) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    return pd.DataFrame(
        {
            "delay": rng.normal(shift, 1, rows),
            "seats": pd.array(rng.integers(1, 300, rows), dtype="Int64"),
            "constant": np.ones(rows),
            "carrier": rng.choice(["AA", "<UA>", None], rows),
            "tail": [f"N{i % 90}" for i in range(rows)],
            "other": rng.normal(0, 1, rows),
        }
    )


def test_the_page_draws_what_can_be_drawn_and_names_the_rest() -> None:
    reference, current = _frame(0.0), _frame(2.0)
    current["empty"] = 1.0
    reference["empty"] = np.nan
    current.loc[0, "delay"] = np.inf
    before = current.copy()
    page = drift_report_html(
        reference,
        current,
        numeric=["delay", "constant", "empty", "seats", "other"],
        categorical=["carrier", "tail"],
        sample=300,
        seed=1,
        max_columns=4,
    )
    assert "samples of 300 reference and 300 current rows" in page
    assert "Without a value in one of the samples: empty." in page
    assert "The same value throughout: constant." in page
    assert "Not drawn to keep the page short: other." in page
    assert all(f'"column_name": "{name}"' in page for name in ("delay", "seats", "carrier", "tail"))
    assert '"column_name": "other"' not in page
    assert "(others)" in page
    assert not re.findall(r"<(?:script|link|img)[^>]+(?:src|href)=\"?http", page)
    pd.testing.assert_frame_equal(current, before)


def test_nothing_to_draw_is_a_short_page() -> None:
    page = drift_report_html(_frame(0.0), _frame(0.0), numeric=["constant"], seed=1)
    assert "The same value throughout: constant." in page
    assert len(page) < 2_000


def test_missing_columns_and_empty_windows_are_refused() -> None:
    with pytest.raises(ValueError, match=r"the current window lacks the columns delay"):
        drift_report_html(_frame(0.0), _frame(0.0).drop(columns="delay"), numeric=["delay"], seed=1)
    with pytest.raises(ValueError, match=r"the reference window has no rows"):
        drift_report_html(_frame(0.0).iloc[:0], _frame(0.0), numeric=["delay"], seed=1)
