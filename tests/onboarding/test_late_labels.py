"""Labels in a table of their own: joined by a key, known later, some never."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest
import yaml

from mlops_assets.core.time.spans import Span
from mlops_assets.onboarding.asked import Asked
from mlops_assets.onboarding.files import lines_beyond_columns, render
from mlops_assets.onboarding.late import CannotJoin
from mlops_assets.onboarding.plan import Plan, make_plan
from tests.onboarding.tables import churn

DELAY = 40
"""Days that the slowest label takes, less one."""


def brought(folder: Path, *, entity: str | None = None, **changes: object) -> Plan:
    """Accounts and, for four in five of them, an outcome up to 39 days later; `entity` adds the history of that."""
    rng = np.random.default_rng(0)
    rows = churn(1_000, days=150)
    rows["shop"] = np.arange(len(rows)) % 7
    rows.insert(0, "account", [f"A{number:05}" for number in rng.permutation(len(rows))])
    known = pd.to_datetime(rows["signed_up"]) + pd.to_timedelta(rng.integers(0, DELAY, len(rows)), unit="D")
    labels = pd.DataFrame({"account": rows["account"], "settled": known, "churned": rows.pop("churned")})
    labels = labels.sample(frac=0.8, random_state=1).assign(**changes)
    rows.to_csv(folder / "accounts.csv", index=False)
    labels.to_csv(folder / "outcomes.csv", index=False)
    return make_plan(Asked("acc", str(folder / "accounts.csv"), labels=str(folder / "outcomes.csv"), entity=entity))


def test_labels_become_a_source_that_nobody_waits_for(tmp_path: Path) -> None:
    plan = brought(tmp_path)
    assert plan.late is not None
    assert (plan.late.key, plan.late.column, plan.late.time.name) == ("account", "churned", "settled")
    assert plan.late.waits_days == DELAY - 1
    assert (plan.labelled, plan.max_delay, plan.label.task) == (800, f"{DELAY}d", "binary")
    assert lines_beyond_columns(render(plan)) <= 60
    files = {path.name: text for path, text in render(plan).items()}
    rows, labels, model = (one["attributes"] for one in yaml.safe_load_all(files["defs.yaml"]))
    assert (labels["name"], labels["required"], labels["event_time"]) == ("acc_labels", False, "settled")
    assert "churned" not in rows["contract"]["columns"]
    assert labels["contract"]["unique"] == ["account"]
    assert model["label"]["max_delay"] == f"{DELAY}d"
    assert "left join {{ raw('acc_labels') }}" in files["lbl_acc.sql"]
    assert f"waits_days: {DELAY - 1}" in files["lbl_acc.yml"]
    assert "churned" not in files["stg_acc.sql"]


def test_a_label_of_a_day_is_known_when_the_day_is_over(tmp_path: Path) -> None:
    """It may be of the day of its row: whether it came in the night before, nobody can tell."""
    at = [datetime(2024, 3, 1, 9) + timedelta(hours=11 * number) for number in range(300)]
    rows = pd.DataFrame({"at": at, "account": [f"A{n:03}" for n in range(300)], "x": np.arange(300) % 11 * 1.5})
    rows.to_csv(tmp_path / "rows.csv", index=False)
    known = [(moment + timedelta(days=number % 3)).date() for number, moment in enumerate(at)]
    labels = pd.DataFrame({"account": rows["account"], "settled": known, "churned": np.arange(300) % 2})
    files = str(tmp_path / "rows.csv"), str(tmp_path / "labels.csv")
    asked = Asked("acc", files[0], labels=files[1], label_time="settled", timezone="Europe/Berlin")
    for written, by_day in (("%Y-%m-%d", True), ("%d.%m.%Y", True), ("%Y%m%d", True), ("%Y-%m-%d 23:59:00", False)):
        labels.assign(settled=[day.strftime(written) for day in known]).to_csv(tmp_path / "labels.csv", index=False)
        plan = make_plan(asked)
        assert plan.late is not None
        assert plan.late.waits_days == 3
        assert any(note.startswith("settled holds days: a label counts as known when") for note in plan.notes) == by_day
        sql = next(text for path, text in render(plan).items() if path.name == "lbl_acc.sql")
        (line,) = [line for line in sql.splitlines() if line.endswith("as label_available_at,")]
        with duckdb.connect() as connection:
            connection.execute("create table labels as select timestamptz '2024-03-31 00:00:00+01' as settled")
            (found,) = connection.sql(f"select {line.strip().rstrip(',')} from labels").fetchall()
        # The day on which the clocks are put forward has 23 hours.
        assert found[0].astimezone(UTC) == datetime(2024, 3, 31 if by_day else 30, 22 if by_day else 23, tzinfo=UTC)


def test_with_a_history_too_it_is_short_enough_to_read(tmp_path: Path) -> None:
    files = render(brought(tmp_path, entity="shop"))
    assert len([path for path in files if path.stem.endswith("_shop")]) == 1
    assert lines_beyond_columns(files) <= 60


def test_labels_that_do_not_belong_to_the_rows(tmp_path: Path) -> None:
    with pytest.raises(CannotJoin, match=r"800 labels are known before their row.*--label-time"):
        brought(tmp_path, settled="2022-01-01")
    with pytest.raises(CannotJoin, match=r"does not name one row each.*--key"):
        brought(tmp_path, account="A00001")
    with pytest.raises(CannotJoin, match=r"one label among its columns, and there are 2: churned, more"):
        brought(tmp_path, more=1)


@pytest.mark.parametrize(
    ("row", "label"),
    [("{:05}", "{}"), ("{}", "{:05}"), ("k{}", "K{}"), ("{}", "{}.0"), ("k{}", "k{} "), ("{:05}", "{:06}")],
)
def test_keys_that_are_written_otherwise_are_named(row: str, label: str, tmp_path: Path) -> None:
    at = pd.date_range("2024-03-01", periods=300, freq="9h")
    keys = [[written.format(n) for n in range(900, 1_200)] for written in (row, label)]
    rows = pd.DataFrame({"at": at, "cid": keys[0], "x": np.arange(300) % 11})
    labels = pd.DataFrame({"cid": keys[1], "known": at + pd.Timedelta(days=1), "churned": np.arange(300) % 2})
    for frame, name in ((rows, "rows"), (labels, "labels")):
        frame.astype({"cid": "string"}).to_parquet(tmp_path / f"{name}.parquet")
    asked = Asked("acc", str(tmp_path / "rows.parquet"), labels=str(tmp_path / "labels.parquet"), key="cid")
    told = r"cid is '.*' in row 1 of labels\.parquet, and '.*' in row 1 of rows\.parquet: 300 of 300 labels belong to a"
    with pytest.raises(CannotJoin, match=told + " row but for how the key is written"):
        make_plan(asked)
    labels.assign(cid="z" + labels["cid"]).to_parquet(tmp_path / "labels.parquet")
    with pytest.raises(CannotJoin, match="None of 300 labels belongs to a row: cid is such as 'z"):
        make_plan(asked)


def test_a_day_of_labels_changes_the_days_before_it() -> None:
    day = Span(date(2024, 3, 10), date(2024, 3, 11))
    newest = date(2024, 3, 11)
    assert day.widened(lookback_days=7, newest_end=newest) == day
    assert day.widened(lookback_days=7, newest_end=newest, waits_days=3) == Span(date(2024, 3, 7), day.end)
    assert day.widened(lookback_days=7, newest_end=date(2024, 3, 14), waits_days=3) == Span(
        date(2024, 3, 7), date(2024, 3, 14)
    )
