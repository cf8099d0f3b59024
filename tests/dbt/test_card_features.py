"""Features and labels of card payments against pandas, on a small made-up world."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pandas as pd
import pytest

from mlops_assets.landing.card_world import World, confirmations
from tests.dbt.conftest import Dbt, rows

START, DAYS = date(2013, 1, 28), 20
MODELS = "+lbl_card_fraud +feat_payment +feat_payment_customer +feat_payment_terminal"


def land(home: Path, name: str, frame: pd.DataFrame, day: str) -> None:
    path = home / "lake" / "raw" / name / f"partition={day}" / "data.parquet"
    path.parent.mkdir(parents=True)
    for column in frame.select_dtypes("datetimetz"):
        frame[column] = frame[column].dt.as_unit("us")
    frame.to_parquet(path, index=False)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pd.DataFrame, pd.DataFrame]:
    """A home with the models built; its payments and confirmations."""
    home = tmp_path_factory.mktemp("cards")
    payments, confirmed = [], []
    for day, frame in World(START, customers=80, terminals=300).days(DAYS):
        confirmed.append(confirmations(frame, seed=0))
        told = frame.drop(columns=["is_fraud", "pattern"]).rename(columns={"amount": "transaction_amount"})
        land(home, "card_payments", told.copy(), str(day))
        payments.append(frame)
    known = pd.concat(confirmed, ignore_index=True)
    known = known[known["confirmed_at"] < pd.Timestamp(START + timedelta(days=DAYS), tz="UTC")]
    for day, frame in known.groupby(known["confirmed_at"].dt.date):
        land(home, "card_confirmations", frame.copy(), str(day))
    statuses = Dbt(home).ok("build", "--select", *MODELS.split())
    assert {"fraud_is_known_when_it_is_confirmed", "a_terminal_is_known_by_what_was_confirmed"} < set(statuses)
    return home, pd.concat(payments, ignore_index=True), known


def test_a_customers_history_is_what_pandas_counts(world: tuple[Path, pd.DataFrame, pd.DataFrame]) -> None:
    home, payments, _ = world
    ordered = payments.sort_values(["customer_id", "occurred_at"]).set_index("occurred_at")
    rolled = ordered.groupby("customer_id")["amount"].rolling("7D", closed="both").agg(["count", "mean"])
    # Of two payments in one second both are in, as in the SQL.
    wanted = rolled.groupby(level=[0, 1]).last()
    sql = (
        "select customer_id, event_timestamp - interval 1 microsecond as at, customer_id_events_7d as n, "
        "customer_id_amount_mean_7d as mean from model order by 1, 2"
    )
    found = rows(home, "feat_payment_customer", sql)
    assert [(c, pd.Timestamp(at).tz_convert("UTC")) for c, at, *_ in found] == wanted.index.tolist()
    assert [n for _, _, n, _ in found] == wanted["count"].tolist()
    assert [mean for *_, mean in found] == pytest.approx(wanted["mean"].tolist())


def test_a_terminals_risk_is_of_sure_confirmations_alone(world: tuple[Path, pd.DataFrame, pd.DataFrame]) -> None:
    home, _, known = world
    sure = known[known["confidence"] > 0.95]
    found = rows(
        home,
        "feat_payment_terminal",
        "select terminal_id, max(terminal_id_events_28d) from model group by 1 order by 1",
    )
    counts = sure.groupby("terminal_id").size()
    assert found == list(zip(counts.index, counts, strict=True))
    share = rows(home, "feat_payment_terminal", "select avg(terminal_id_is_fraud_mean_28d) from model")[0][0]
    assert 0 <= share < 0.2


def test_labels_are_as_late_as_their_confirmation(world: tuple[Path, pd.DataFrame, pd.DataFrame]) -> None:
    home, payments, known = world
    from_here = payments[payments["occurred_at"] >= pd.Timestamp("2013-02-04", tz="UTC")]
    sure = known[known["confidence"] > 0.95]
    labelled = sure[sure["transaction_id"].isin(from_here["transaction_id"])]
    sql = "select count(*), count(is_fraud), min(epoch(label_available_at - event_timestamp)) from model"
    ((count, with_label, wait),) = rows(home, "lbl_card_fraud", sql)
    assert (count, with_label) == (len(from_here), len(labelled))
    assert with_label > 100
    assert wait >= 7 * 86_400
