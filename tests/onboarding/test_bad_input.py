"""What people bring that is not as it should be: a clear error with a remedy, or a stated way of going on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlops_assets.core.sources.contract_cast import conform
from mlops_assets.core.sources.settings import SourceSettings
from mlops_assets.onboarding.asked import Asked
from mlops_assets.onboarding.files import NothingOverwritten, refuse_written, render, write
from mlops_assets.onboarding.identity import CannotOnboard
from mlops_assets.onboarding.labels import NoLabel
from mlops_assets.onboarding.landing import land
from mlops_assets.onboarding.plan import Plan, make_plan
from mlops_assets.onboarding.reading.table import UnreadableTable
from mlops_assets.onboarding.times import NoTime
from mlops_assets.steps.land.landed_rows import parse
from tests.onboarding.tables import churn


def plan_of(table: pd.DataFrame | bytes, folder: Path, **asked: str) -> Plan:
    file = folder / "table.csv"
    if isinstance(table, bytes):
        file.write_bytes(table)
    else:
        table.to_csv(file, index=False)
    return make_plan(Asked("churn", str(file), **asked))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is empty, without even a header.*Wait, or write it again"),
        (b"at,x,y\n", "a header and no rows"),
        (b"at,x,y\n2024-01-01,1,0\n2024-01-02,1,0,7\n2024-01-03,1,0\n", "cannot be read as a table.*line"),
        (b"\x1f\x8b\x08 cut short", "is gzip by its content.*name it table.csv.gz"),
    ],
)
def test_an_unreadable_file(content: bytes, told: str, tmp_path: Path) -> None:
    with pytest.raises(UnreadableTable, match=told):
        plan_of(content, tmp_path)


def test_a_damaged_parquet_file_and_none_at_all(tmp_path: Path) -> None:
    (tmp_path / "x.parquet").write_bytes(b"PAR1....")
    with pytest.raises(UnreadableTable, match="cannot be read as a table"):
        make_plan(Asked("churn", str(tmp_path / "x.parquet")))
    with pytest.raises(FileNotFoundError, match="Give a Parquet or CSV file"):
        make_plan(Asked("churn", str(tmp_path / "nothing*.csv")))


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_table_of_too_many_columns_is_refused_by_its_header(suffix: str, tmp_path: Path) -> None:
    wide = pd.DataFrame([[0] * 2_001], columns=[f"c{i}" for i in range(2_001)])
    file = tmp_path / f"wide.{suffix}"
    wide.to_csv(file, index=False) if suffix == "csv" else wide.to_parquet(file)
    with pytest.raises(UnreadableTable, match=r"has 2,001 columns, and a new model is made of 2,000.*Leave out"):
        make_plan(Asked("churn", str(file)))


def test_mixed_encodings(tmp_path: Path) -> None:
    lines = churn(300).assign(plan="caf\u00e9").to_csv(index=False).encode()
    mixed = lines + "2023-07-01 00:00:00,1,caf\u00e9,30,5,yes\n".encode("windows-1252")
    with pytest.raises(UnreadableTable, match=r"not UTF-8 throughout.*iconv"):
        plan_of(mixed, tmp_path)
    with pytest.raises(UnreadableTable, match=r"not UTF-8 throughout.*iconv"):
        plan_of("at,pr\u00e9nom\n2024-01-01,1\n".encode("windows-1252"), tmp_path)


def test_duplicate_column_names(tmp_path: Path) -> None:
    text = churn(300).rename(columns={"age": "usage"}).to_csv(index=False)
    with pytest.raises(UnreadableTable, match="column usage twice"):
        plan_of(text.encode(), tmp_path)
    with pytest.raises(UnreadableTable, match="differ in capitals"):
        plan_of(churn(300).rename(columns={"age": "Usage"}), tmp_path)
    with pytest.raises(UnreadableTable, match="called partition, which the lake needs"):
        plan_of(churn(300).rename(columns={"age": "partition"}), tmp_path)


def test_no_time_column(tmp_path: Path) -> None:
    with pytest.raises(NoTime, match=r"No column says when.*--time"):
        plan_of(churn(300).drop(columns="signed_up"), tmp_path)
    with pytest.raises(NoTime, match="no times that can be read"):
        plan_of(churn(300), tmp_path, time="plan")
    with pytest.raises(NoTime, match="There is no column 'when'"):
        plan_of(churn(300), tmp_path, time="when")
    holes = churn(300)
    holes.loc[:9, "signed_up"] = None
    with pytest.raises(NoTime, match="10 of 300 rows have no time in signed_up, the first of them row 1 of"):
        plan_of(holes, tmp_path)
    total = churn(300)
    total.loc[240, "signed_up"] = None
    # Rows count from 1, and the header is the first line.
    with pytest.raises(
        NoTime, match=r"1 of 300 rows has no time in signed_up, the first of them row 241 of .*line 242"
    ):
        plan_of(total, tmp_path)


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("tail", ["", " "])
def test_columns_without_a_name_and_a_value_are_left_out_and_named(count: int, tail: str, tmp_path: Path) -> None:
    """As a spreadsheet writes them; here and where the file lands."""
    rows = churn(300)
    clean = rows.to_csv(index=False).splitlines()
    text = "\n".join([clean[0] + "," * count + tail, *(line + "," * count for line in clean[1:])])
    (tmp_path / "t.csv").write_text(text)
    plan = make_plan(Asked("t", str(tmp_path / "t.csv")))
    assert list(plan.table.facts) == list(rows)
    (note,) = [each for each in plan.table.texts.notes if "without a name" in each]
    assert note.startswith("1 column " if count == 1 else "2 columns ")
    source = SourceSettings.model_validate(
        {
            "name": "t",
            "description": "One row per customer.",
            "files": "t_{partition}.csv",
            "event_time": "signed_up",
            "start": "2024-01-01",
            "contract": {
                "columns": {name: {"type": "timestamp" if name == "signed_up" else "string"} for name in rows}
            },
        }
    )
    assert list(parse("t.csv", text.encode(), source)) == list(rows)
    (tmp_path / "t.csv").write_text(f"{text}late")
    with pytest.raises(UnreadableTable, match=r"has no name, and a value in row 300 of t\.csv"):
        make_plan(Asked("t", str(tmp_path / "t.csv")))


def test_time_out_of_order_lands_as_in_order(tmp_path: Path) -> None:
    rows = churn(300)
    shuffled = rows.sample(frac=1, random_state=1)
    landed = []
    for name, table in (("a", rows), ("b", shuffled)):
        plan = plan_of(table, tmp_path)
        source = settings(plan)
        land(plan.table, plan.time, source, tmp_path / name)
        landed.append(pd.concat(pd.read_parquet(p) for p in sorted((tmp_path / name / "churn").glob("*.parquet"))))
    pd.testing.assert_frame_equal(landed[0].reset_index(drop=True), landed[1].reset_index(drop=True))
    assert landed[0]["signed_up"].is_monotonic_increasing


def settings(plan: Plan) -> SourceSettings:
    import yaml

    text = next(text for path, text in render(plan).items() if path.name == "defs.yaml")
    return SourceSettings.model_validate(next(yaml.safe_load_all(text))["attributes"])


def test_names_that_need_quotes_or_are_words_of_sql(tmp_path: Path) -> None:
    odd = {"usage": "Usage (GB/day)", "plan": "select", "age": "Gr\u00f6\u00dfe", "spend": "order"}
    plan = plan_of(churn(600).rename(columns=odd).assign(**{'say "x"': 1.5, "2nd": np.arange(600) % 7}), tmp_path)
    assert [column.name for column in plan.columns] == [
        "usage_gb_day", "select_value", "grosse", "order_value", "churned", "say_x", "n_2nd",
    ]  # fmt: skip
    files = {path.name: text for path, text in render(plan).items()}
    assert '"Usage (GB/day)" as usage_gb_day' in files["stg_churn.sql"]
    assert '"say ""x""" as say_x' in files["stg_churn.sql"]
    source = settings(plan)
    rows = pd.read_csv(tmp_path / "table.csv")
    assert not conform(source.rules, rows).failures, "the contract holds for the table that it was proposed from"


def test_half_of_the_labels_are_missing(tmp_path: Path) -> None:
    rows = churn(600)
    rows.loc[rows.index % 2 == 0, "churned"] = None
    plan = plan_of(rows, tmp_path)
    assert any("50% of the rows have no churned" in warning for warning in plan.warnings)
    defs = next(text for path, text in render(plan).items() if path.name == "defs.yaml")
    assert "mature_share: 0.45" in defs, "a window does not wait for labels that never come"
    assert plan.labelled == 300


def test_a_target_that_is_constant_for_months_and_one_that_always_is(tmp_path: Path) -> None:
    rows = churn(900)
    rows.loc[rows["signed_up"] < "2023-03-01", "churned"] = "no"
    plan = plan_of(rows, tmp_path)
    assert any("one value only from 2023-01 to 2023-02" in warning for warning in plan.warnings)
    with pytest.raises(NoLabel, match="is false in all rows"):
        plan_of(churn(300).assign(churned="no"), tmp_path)
    with pytest.raises(NoLabel, match="no column 'gone'"):
        plan_of(churn(300), tmp_path, label="gone")
    with pytest.raises(NoLabel, match="different values, and a binary label has 2"):
        plan_of(churn(300), tmp_path, label="usage", task="binary")


def test_leakage_ids_and_what_comes_after_are_named_and_left_out(tmp_path: Path) -> None:
    rows = churn(1_000)
    later = pd.to_datetime(rows["signed_up"]) + pd.to_timedelta(40, unit="D")
    rows = rows.assign(
        refund=np.where(rows["churned"] == "yes", 10, 0),
        left_at=later.where(rows["churned"] == "yes").astype(str).replace("NaT", ""),
        customer_id=np.random.default_rng(1).permutation(100_000)[:1_000],
    )
    plan = plan_of(rows, tmp_path, label="churned")
    why = {column.facts.name: column.why for column in plan.columns if column.role == "left out"}
    assert set(why) == {"refund", "left_at", "customer_id", "churned"}
    assert "AUC of 1.000" in why["refund"]
    assert "lies after signed_up" in why["left_at"]
    assert "identifier" in why["customer_id"]
    assert plan.key == "customer_id"
    assert len([w for w in plan.warnings if "leakage" in w]) == 2


def test_gaps_in_time_are_told(tmp_path: Path) -> None:
    rows = churn(900)
    rows = rows[(rows["signed_up"] < "2023-02-01") | (rows["signed_up"] >= "2023-03-01")]
    plan = plan_of(rows, tmp_path)
    assert any("the longest from 2023-02-01 to 2023-03-01" in warning for warning in plan.warnings)


def test_too_short_a_history_and_a_name_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(CannotOnboard, match="too short a history"):
        plan_of(churn(300, days=2), tmp_path)
    with pytest.raises(CannotOnboard, match="cannot be a model's name"):
        make_plan(Asked("My Model", "x.csv"))
    for name in ("a" * 240, "yes", "partition", "1st", "a\nb"):
        with pytest.raises(CannotOnboard, match="cannot be a model's name"):
            make_plan(Asked(name, "x.csv"))


@pytest.mark.parametrize("name", ["oth.er", "My Model", "a" * 240, "1st", "yes", "partition", "_x", "übermut", ""])
def test_a_name_that_cannot_be_is_followed_by_one_that_can(name: str, tmp_path: Path) -> None:
    with pytest.raises(CannotOnboard) as said:
        make_plan(Asked(name, "x.csv"))
    other = str(said.value).partition("Take another, such as ")[2].partition(". Nothing was written.")[0]
    assert str(said.value).count(". ") == 2
    assert plan_of(churn(300), tmp_path).name == "churn"
    assert make_plan(Asked(other, str(tmp_path / "table.csv"))).name == other


def test_nothing_is_overwritten_unless_asked(tmp_path: Path) -> None:
    files = render(plan_of(churn(300), tmp_path))
    first = next(iter(files))
    (tmp_path / first).parent.mkdir(parents=True)
    (tmp_path / first).write_text("mine")
    with pytest.raises(NothingOverwritten, match=r"exists already.*--force"):
        write(files, root=tmp_path)
    assert (tmp_path / first).read_text() == "mine"


@pytest.mark.parametrize(
    ("wish", "told"),
    [
        ({"delay": "7"}, r"`--label-delay 7`: '7' is not a duration: write a number and one of s, m, h, d, w"),
        ({"delay": "1e9 d"}, r"`--label-delay '1e9 d'`: .* is not a duration"),
        ({"delay": "9999999999d"}, r"longer than any calendar: write less than 999,999,999 days"),
        ({"label_time": "known"}, r"`--label-time` is about labels in files of their own.*`--labels FILES`"),
        ({"key": "id"}, r"`--key` is about labels in files of their own.*leave `--key` out"),
        ({"labels": "labels.csv", "delay": "7d"}, r"`--label-delay` is about labels that stand in the rows"),
    ],
)
def test_a_wish_that_cannot_be_is_refused_before_a_file_is_looked_for(wish: dict[str, str], told: str) -> None:
    with pytest.raises(CannotOnboard, match=told):
        Asked("churn", "no-such-file.csv", **wish)  # type: ignore[arg-type]


def test_files_of_that_name_are_named_before_a_table_is_looked_at(tmp_path: Path) -> None:
    refuse_written("churn", tmp_path)
    (tmp_path / "dbt_project/models/labels").mkdir(parents=True)
    (tmp_path / "dbt_project/models/labels/lbl_churn.sql").touch()
    with pytest.raises(NothingOverwritten, match=r"labels/lbl_churn\.sql exists already\. Choose another name"):
        refuse_written("churn", tmp_path)
