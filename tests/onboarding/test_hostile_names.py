"""Names and values of a table that would act as code, or hide a column of ours: refused with a sentence, or only names.

A rendered file is held against Jinja itself: with nothing defined but what the templates of `onboarding` call, whatever
else a name made it run is undefined, which is an error.
"""

from __future__ import annotations

import ast
import json
import random
import re
import shutil
from pathlib import Path

import jinja2
import numpy as np
import pandas as pd
import pytest
import yaml

from mlops_assets.core.sources.contract_check import check_frames
from mlops_assets.core.sources.settings import ContractSettings, SourceSettings
from mlops_assets.core.values.column_names import LONGEST, fault_of_name, has_template, without_template
from mlops_assets.onboarding import files
from mlops_assets.onboarding.asked import Asked
from mlops_assets.onboarding.landing import land
from mlops_assets.onboarding.plan import Plan, make_plan
from mlops_assets.onboarding.reading.table import UnreadableTable, read_table
from mlops_assets.onboarding.values import plain_yaml
from mlops_assets.steps.land.landed_rows import parse
from mlops_assets.world.files.table_files import open_table
from tests.onboarding.tables import Project, churn

RUNS = (
    "{{ run_query(\"copy (select 42) to '/tmp/owned.csv'\") }}",
    "{{ env_var('HOME') }}",
    "{% do run_query('drop table x') %}",
    "{# gone #}",
    "a{{{b}}}",
    "{{''.__class__.__mro__[1].__subclasses__()}}",
)
"""Names that Jinja would run."""
CANNOT_BE = (*RUNS, "partition", "File_Row_Number", "x" * 10_000, "esc\x1b]0;owned\x07ape", "nul\x01l", "   ")
ODD = (
    "a", "b", "select", "order", "event_timestamp", "created_timestamp", "label_available_at", "landed", "row", "n",
    "k", "k0", "f0", "e", "c", "t", "h", "s", "known", "usable", "whole", "nth_of_key", "of whole", "the label",
    "the partition", "at", "day", "month", "value", "labels", "events", "history", "model", "version", "prediction",
    "score", "weight", "hours_since_a", "is_bad", "__partition__", "event_hour", 'say "x"', "it's", "back`tick",
    "semi;colon", "a'; drop table landed; --", '"; copy (select 1) to \'/tmp/owned\'; --', "line\nbreak",
    "tab\there", "back\\slash", "$name", "?", "%s", "{x}", "{", "}}", "a:b", "- a", "!!python/object:os.system",
    "&anchor", "*alias", "#comment", "yes", "null", "1.5", "2nd", "~", "[bold]x[/bold]", "[/x]",
    "<script>alert(1)</script>", "\u202ertl\u202c", "\u200fmark", "\u05e9\u05dc\u05d5\u05dd", "Gr\xf6\xdfe",
    "\U0001f600", "zero\u200bwidth", "nel x", "ls\u2028x", "\ufefflater", "x" * LONGEST,
)  # fmt: skip
"""Names that a column may have, whatever they look like."""
AT_ONCE = 10
"""Names in one table: the table around them costs as much as ten columns."""


def named(name: str, rows: int = 400) -> pd.DataFrame:
    return churn(rows, days=20).rename(columns={"age": name})


def plan_of(table: pd.DataFrame, folder: Path, **asked: str) -> Plan:
    file = folder / "table.parquet"
    table.to_parquet(file, index=False)
    return make_plan(Asked("churn", str(file), time="signed_up", label="churned", **asked))  # type: ignore[arg-type]


def holds_no_code(texts: dict[Path, str]) -> None:
    """Let Jinja render each file as dbt and Dagster would; only what our templates call is there to be called."""
    asked_for = []

    def known(name: str) -> object:
        return lambda *given, **named: asked_for.append(name) or "select 1"

    calls = {name: known(name) for name in ("ref", "raw", "in_range", "in_lookback", "entity_history")}
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False)
    for path, text in texts.items():
        if path.suffix == ".sql":
            environment.from_string(text).render(calls)
        else:
            # YAML first, then a template of each text, as both of them do.
            for value in filter(may_be_code, leaves(list(yaml.safe_load_all(text)))):
                assert environment.from_string(value).render({"ref": known("ref")}) in (value, value.rstrip("\n"))


def may_be_code(text: str) -> bool:
    """What has none of these is the same text to Jinja."""
    return any(mark in text for mark in ("{", "}", "#"))


def leaves(value: object) -> list[str]:
    if isinstance(value, dict):
        return [leaf for pair in value.items() for one in pair for leaf in leaves(one)]
    if isinstance(value, list):
        return [leaf for one in value for leaf in leaves(one)]
    return [value] if isinstance(value, str) else []


def sources_of(texts: dict[Path, str]) -> SourceSettings:
    text = next(text for path, text in texts.items() if path.name == "defs.yaml")
    return SourceSettings.model_validate(next(yaml.safe_load_all(text))["attributes"])


def lands_whole(plan: Plan, folder: Path) -> None:
    """The files keep the names, and what is landed keeps the contract that was written for it."""
    texts = files.render(plan)
    holds_no_code(texts)
    source = sources_of(texts)
    assert list(source.contract.columns) == list(plan.table.facts)
    landed = land(plan.table, plan.time, source, folder / "landing")
    assert landed.rows == plan.table.rows
    frames = [parse(path.name, path.read_bytes(), source) for path in sorted(landed.folder.iterdir())[:3]]
    results = check_frames(source.rules, frames, partitions=[None] * len(frames))
    assert [result.reason for result in results if not result.ok] == []


KINDS = (
    [f"{i / 7:,.2f} €" for i in range(60)],
    [f"+{i}" for i in range(60)],
    [f"{1 + i % 28:02}/02/2024 10:{i:02}" for i in range(60)],
    [f"0x{i:04x}" for i in range(60)],
    [str(i % 3 == 0) for i in range(60)],
    ["–" if i % 9 == 4 else f"{i}.5" for i in range(60)],
    [f"{i}.25e1" for i in range(60)],
    ["u", "v", "Unknown"] * 20,
)
"""Texts that are read as something else: each reader asks in SQL of its own."""


def what_is_read(columns: dict[str, list[str]], file: Path) -> list[tuple[object, ...]]:
    """Of each column: what is known of it, its values, and its kind to whoever reads the file without a plan."""
    pd.DataFrame(columns).to_csv(file, index=False)
    table = read_table(str(file))
    values = zip(*table.connection.sql(f"select * from {table.relation}").fetchall(), strict=True)
    facts = [(each.dtype, each.distinct, each.missing, each.low, each.high) for each in table.facts.values()]
    return list(zip(facts, values, open_table(str(file)).kinds.values(), strict=True))


@pytest.fixture(scope="module")
def under_plain_names(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[object, ...]]:
    columns = {f"c{place}": kind for place, kind in enumerate(KINDS)}
    return what_is_read(columns, tmp_path_factory.mktemp("plain") / "plain.csv")


@pytest.mark.parametrize("shift", range(len(KINDS)))
def test_a_name_changes_nothing_about_what_texts_are_read_as(
    shift: int, under_plain_names: list[tuple[object, ...]], tmp_path: Path
) -> None:
    """All names in one file; the same texts are there under plain names, too. `{x}` ended in a traceback over texts."""
    names = [name for name in dict.fromkeys(ODD) if name not in ("at",)]
    places = [(place + shift) % len(KINDS) for place in range(len(names))]
    columns = {name: KINDS[place] for name, place in zip(names, places, strict=True)}
    assert what_is_read(columns, tmp_path / "odd.csv") == [under_plain_names[place] for place in places]


@pytest.mark.parametrize("name", CANNOT_BE, ids=range(len(CANNOT_BE)))
@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_name_that_cannot_be_is_refused_with_the_remedy(name: str, ending: str, tmp_path: Path) -> None:
    file, table = tmp_path / f"t.{ending}", named(name)
    table.to_csv(file, index=False) if ending == "csv" else table.to_parquet(file, index=False)
    with pytest.raises(
        UnreadableTable, match=r"Column 4 of .*(rename|shorten|write one).*Nothing was written"
    ) as caught:
        make_plan(Asked("churn", str(file)))
    assert len(str(caught.value)) < 500
    assert str(caught.value).isprintable()
    with pytest.raises(ValueError, match="column 1 of the contract"):
        ContractSettings.model_validate({"columns": {name: {"type": "string"}}})


@pytest.mark.parametrize("first", range(0, len(ODD), AT_ONCE))
def test_any_other_name_is_only_a_name(first: int, tmp_path: Path) -> None:
    names = ODD[first : first + AT_ONCE]
    assert [fault_of_name(name) for name in names] == [""] * len(names)
    table = churn(120, days=20)
    plan = plan_of(
        table.drop(columns="age").assign(**{name: table["age"] + at for at, name in enumerate(names)}), tmp_path
    )
    columns = [column.name for column in plan.columns if column.facts.name in names]
    assert len(set(columns)) == len(names)
    assert all(re.fullmatch(r"[a-z][a-z0-9_]{0,60}", name) for name in columns)
    lands_whole(plan, tmp_path)


def words_of_our_sql() -> list[str]:
    """Whatever stands in the queries of this package, the names that they give to what they compute among it."""
    found: set[str] = set()
    for module in Path(files.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                text = " ".join(str(part.value) for part in node.values if isinstance(part, ast.Constant))
                found |= set(re.findall(r"[a-z_]\w*", text)) if "select " in text else set()
    return sorted(name for name in found if not fault_of_name(name))


@pytest.mark.parametrize("kind", ["texts", "numbers", "times"])
def test_a_column_may_be_called_what_our_own_sql_calls_something(kind: str, tmp_path: Path) -> None:
    rows, rng = 400, np.random.default_rng(4)
    values = {
        "texts": lambda: rng.choice(["red", "green", "blue"], rows),
        "numbers": lambda: rng.normal(size=rows).round(3),
        "times": lambda: pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 10**6, rows), unit="s"),
    }[kind]
    table = churn(rows)
    added = pd.DataFrame({name: values() for name in words_of_our_sql() if name not in table})
    assert {"x", "low", "high", "half", "value"} <= set(added)
    plan = plan_of(pd.concat([table, added], axis=1), tmp_path)
    assert set(added) <= {column.facts.name for column in plan.columns}


def test_names_out_of_a_hostile_alphabet(tmp_path: Path) -> None:
    """Seed 20; 60 tables of six such names each."""
    draw = random.Random(20)
    alphabet = "ab{}%#'\"`\\;:-!&*[]<>\n\t\u202e\u00e9\x1b $"
    refused = 0
    for number in range(60):
        names = {"".join(draw.choices(alphabet, k=draw.randint(1, 12))) for _ in range(6)}
        table = churn(120, days=20).assign(**{name: np.arange(120) % (5 + i) for i, name in enumerate(sorted(names))})
        folder = tmp_path / str(number)
        folder.mkdir()
        bad = [name for name in names if fault_of_name(name)]
        twice = len({name.casefold() for name in table}) < len(table.columns)
        if bad or twice:
            refused += 1
            with pytest.raises(UnreadableTable, match="Nothing was written"):
                plan_of(table, folder)
        else:
            lands_whole(plan_of(table, folder), folder)
    assert 5 < refused < 55


@pytest.mark.parametrize("task", ["binary", "multiclass"])
@pytest.mark.parametrize("value", [*RUNS, "{x}", "{column}", "it's", "a\nb", "!!str", "\x1b[2J"])
def test_values_that_would_be_code_are_values(value: str, task: str, tmp_path: Path) -> None:
    """As categories of a feature and as a class of the label; the label's SQL is run, not read."""
    table = churn(300, days=20)
    classes = np.array([value, "no", *(["maybe"] if task == "multiclass" else [])])
    table["churned"] = classes[np.arange(300) % len(classes)]
    table["plan"] = np.array([value, "basic", "pro"])[np.arange(300) // 7 % 3]
    plan = plan_of(table, tmp_path)
    lands_whole(plan, tmp_path)
    texts = {path.name: text for path, text in files.render(plan).items()}
    sql = jinja2.Environment(autoescape=False).from_string(texts["lbl_churn.sql"]).render(
        ref=lambda _: "staged", in_range=lambda _: "true", raw=str
    )  # fmt: skip
    plan.table.connection.execute(
        "create view staged as select *, 1 as churn_id, now() as event_timestamp, now()::date as partition from landed"
    )
    found = plan.table.connection.execute(f"select churned, count(*) from ({sql}) group by 1 order by 1").fetchall()
    assert [count for _, count in found] == [300 // len(classes)] * len(classes)


def test_what_is_filled_in_is_guarded_once_more(tmp_path: Path) -> None:
    plan = plan_of(churn(300), tmp_path)
    # Past all that refuses it before.
    object.__setattr__(plan.asked, "timezone", "{{ env_var('HOME') }}")
    with pytest.raises(ValueError, match=r"run as a template.*Nothing was written"):
        files.render(plan)


def test_a_heading_in_quotes_may_have_two_lines(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    named("age\nin years").to_csv(file, index=False)
    plan = make_plan(Asked("churn", str(file)))
    assert {column.facts.name: column.name for column in plan.columns}["age\nin years"] == "age_in_years"


def test_marks_are_taken_apart() -> None:
    for text in (*RUNS, "{{{{", "{{%{#", "{{{"):
        assert not has_template(without_template(text))
    assert without_template("{x} 50%") == "{x} 50%"


@pytest.mark.slow
def test_odd_names_live_through_a_replay(tmp_path: Path) -> None:
    """Landing, dbt, Feast, training, drift, reports: in a checkout of its own, whose folder is all that is written."""
    project = Project.at(tmp_path / "checkout")
    rng = np.random.default_rng(21)
    table = churn(1_600, days=24).rename(columns={"age": "a", "usage": "b"})
    odd = [name for name in ODD if name not in table.columns]
    table = pd.concat([pd.DataFrame({name: rng.normal(size=len(table)).round(3) for name in odd}), table], axis=1)
    table["back`tick"] = np.array(["{{ x }}", "</script><img src=x onerror=alert(1)>", "a|b"])[
        np.arange(len(table)) % 3
    ]
    table.to_parquet(tmp_path / "odd.parquet", index=False)
    said = project.mlops("new-model", "churn", "--from", str(tmp_path / "odd.parquet"), "--entity", "plan")
    assert "\x1b]" not in said.stdout
    project.mlops("replay", "churn", "--trials", "1", "--start", "2023-01-23")
    told = json.loads((project.home / "reports" / "churn" / "replay.json").read_text(encoding="utf-8"))
    assert told["summary"]["auto"] > 0.6
    (home,) = (project.home / "replays").iterdir()
    shown = project.mlops("--home", str(home), "look-ahead", "feat_churn", "feat_churn_plan").stdout
    assert shown.count("no feature looks ahead") == 2
    shutil.rmtree(project.root)


@pytest.mark.parametrize("text", ["\u202eabc", "a\u2066b", "\x1b[31mred", "größe", "a: b", "\u0085"])
def test_no_text_turns_what_a_reader_of_the_yaml_sees(text: str) -> None:
    written = plain_yaml(text)
    assert yaml.safe_load(written) == text
    assert not set(written) & {"\u202e", "\u2066", "\x1b"}
