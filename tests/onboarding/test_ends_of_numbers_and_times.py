"""Numbers that no model holds, and the first and the last day of the calendar: named with the cell."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from mlops_assets.onboarding.asked import Asked
from mlops_assets.onboarding.plan import make_plan
from mlops_assets.onboarding.times import NoTime

ROWS = 600


def write(folder: Path, at: str = "", v: str = "") -> str:
    """A file whose sixth row has another time, or another number."""
    rows = [(datetime(2024, 1, 1) + timedelta(hours=2 * i), i % 17, i * 7 % 13 % 2) for i in range(ROWS)]
    odd = ((at or t, v or n, y) if i == 5 else (t, n, y) for i, (t, n, y) in enumerate(rows))
    (folder / "t.csv").write_text("at,v,y\n" + "".join(f"{t},{n},{y}\n" for t, n, y in odd))
    return str(folder / "t.csv")


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/New_York"])
@pytest.mark.parametrize("at", ["0001-01-01", "9999-12-31 23:30:00", "0001-01-01T00:00:00Z", "9999-12-31T23:30:00Z"])
def test_the_ends_of_the_calendar_are_named_in_every_zone(at: str, zone: str, tmp_path: Path) -> None:
    with pytest.raises(NoTime, match=rf"at is {at[:10]} in row 6 of t.csv \(line 7\), and 1 of 600 rows lie"):
        make_plan(Asked("t", write(tmp_path, at), label="y", time="at", timezone=zone))


@pytest.mark.parametrize("v", ["1e39", "-2.5e200", "1.7e308"])
def test_a_number_beyond_all_floats_of_a_model_is_named(v: str, tmp_path: Path) -> None:
    plan = make_plan(Asked("t", write(tmp_path, v=v), label="y"))
    (said,) = (warning for warning in plan.warnings if warning.startswith("v is "))
    assert said.startswith(f"v is {float(v):.6g} in row 6 of t.csv (line 7), in 1 row in all")
    assert "where the others are 0 to 16: if it means missing, leave the cell empty" in said
    assert f"`--missing v={float(v)!r}`" in said or f"`--missing v={int(float(v))}`" in said
    assert len(said) < 250


@pytest.mark.parametrize("power", [0, 120, 300, -300])
def test_a_label_in_any_unit_has_the_same_skewness_and_the_same_column_tells_it(power: int, tmp_path: Path) -> None:
    """The square of 1e300 is beyond a double, and so is the cube of 1e120: DuckDB refused to sum them."""
    labels = [i * 7919 % 97 + (900_000 if i % 25 == 0 else 0) for i in range(1, ROWS + 1)]
    times = [datetime(2024, 1, 1) + timedelta(hours=2 * i) for i in range(ROWS)]
    lines = (f"{at},{y % 13},{y}e0,{y}e{power}" for at, y in zip(times, labels, strict=True))
    (tmp_path / "t.csv").write_text("at,v,same,y\n" + "\n".join(lines) + "\n")
    plan = make_plan(Asked("t", str(tmp_path / "t.csv"), label="y"))
    mean = sum(labels) / ROWS
    second, third = (sum((y - mean) ** n for y in labels) / ROWS for n in (2, 3))
    # DuckDB's is that of a sample, by n and n - 2: Joanes and Gill (1998), G1.
    skewness = third / second**1.5 * (ROWS * (ROWS - 1)) ** 0.5 / (ROWS - 2)
    assert plan.label.metric == "mae"
    assert any(f"The label is skewed ({skewness:.1f})" in note for note in plan.label.notes)
    assert any("same" in warning and "explains 100.0%" in warning for warning in plan.warnings)
