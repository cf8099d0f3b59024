"""`mlops queue`, and what `settings`, `doctor` and `status` say of a budget for all trainings."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mlops_assets.cli import app
from mlops_assets.commands import choosing, console
from mlops_assets.commands import settings as settings_command
from mlops_assets.core.decide.fleet.false_discoveries import AmongLooks
from mlops_assets.core.decide.fleet.trainings_policy import TrainingsPolicy
from mlops_assets.core.record.entries import Freeze
from mlops_assets.core.record.plain_values import as_plain
from mlops_assets.steps.keep import doctor
from mlops_assets.world import platform as platforms
from mlops_assets.world.home import Home, working_in
from mlops_assets.world.landed import sources as landed
from mlops_assets.world.platform import Platform
from mlops_assets.world.runs.agreed_trainings import read_trainings_policy
from tests.fleet_home import NOW, FleetHome, declare

Agreed = Callable[[TrainingsPolicy | None], FleetHome]
DAY = timedelta(days=1)
ONE = TrainingsPolicy(runs_a_day=1)


@pytest.fixture
def agreed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Agreed]:
    """A home of the models a to e, and what is agreed on for all of them."""
    folder = tmp_path / "defs"
    declare(folder, list("abcde"))
    for module in (console, choosing, platforms, landed, settings_command):
        monkeypatch.setattr(module, "DEFS", folder)
    with working_in(Home(tmp_path / "home"), own_store=True) as home:
        home.prepare()

        def made(policy: TrainingsPolicy | None) -> FleetHome:
            monkeypatch.setattr(Platform, "trainings_policy", lambda _: policy)
            monkeypatch.setattr("mlops_assets.world.runs.agreed_trainings.read_trainings_policy", lambda _: policy)
            return FleetHome(home, folder, policy)

        yield made


def said(*words: str) -> str:
    result = CliRunner().invoke(app, list(words), env={"COLUMNS": "220"})
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split())


def test_an_empty_queue_is_told_in_words(agreed: Agreed) -> None:
    agreed(ONE)
    today = f"{NOW:%Y-%m-%d}"
    assert said("queue") == f"No training waits. Started on {today} (UTC): 0 of 1 trainings, 0 CPU hours."
    agreed(None)
    assert said("queue").startswith("No training waits. All trainings start at once: the project has no budget")


def test_each_has_its_place_its_gain_its_cost_and_when_it_starts(agreed: Agreed) -> None:
    fleet = agreed(ONE)
    first = fleet.decided("a", gain=0.2, rows=800.0)
    fleet.decided("b", "schedule", gain=None)
    profit = {"lower": 0.1, "mean": 0.5, "rows_per_day": 25.0}
    frozen = fleet.decided("c", gain=0.1)
    fleet.platform.ledger.record.note("c", Freeze, reason="year-end.", by="ada", until=(NOW + DAY).isoformat())
    shown = said("queue")
    row = f"a 1 gain ({first.id[:8]}) {NOW:%Y-%m-%d %H:%M} UTC 20.0% of the loss of 800 rows a day 0.1 CPU hours"
    assert row in shown
    assert "It starts at the next tick." in shown
    assert "not measured" in shown
    assert f"c 2 gain ({frozen.id[:8]})" in shown
    assert "The model is frozen until" in shown
    values = json.loads(CliRunner().invoke(app, ["queue", "--json"]).stdout)
    assert [each["model"] for each in values["waiting"]] == ["a", "c", "b"]
    assert [each["starts_on"] for each in values["waiting"]] == [
        f"{NOW:%Y-%m-%d}", None, f"{NOW + DAY:%Y-%m-%d}",
    ]  # fmt: skip
    assert values["waiting"][2]["why"].startswith("The budget of the days before is taken. It starts on ")
    assert values["agreed"]["runs_a_day"] == 1
    fleet.decided("d", gain=0.1)
    entry = fleet.platform.ledger.entries("d")[-1].to_dict()
    assert entry["evidence"]["probe"]["refit"]["profit"] is None
    assert profit["mean"] * profit["rows_per_day"] == 12.5


def test_what_is_not_certain_enough_is_named(agreed: Agreed) -> None:
    fleet = agreed(TrainingsPolicy())
    among = as_plain(AmongLooks(NOW.date(), 1_000, 0.00012))
    fleet.decided("a", "many_looks", action="wait", p=0.004, among=among)
    assert (
        "a is not trained. Its gain is not certain enough among the 1,000 looks of the day: p 0.004, limit 0.00012."
        in said("queue")
    )


def test_settings_name_what_holds_for_all_models(agreed: Agreed) -> None:
    agreed(None)
    without = said("settings", "a")
    assert "Of all models together" not in without
    agreed(TrainingsPolicy(runs_a_day=20))
    shown = said("settings", "a")
    assert shown.startswith(without)
    assert "# Of all models together (pyproject.toml, tool.mlops.trainings): # runs_a_day: 20" in shown
    assert "# cpu_hours_a_day: no limit # fdr: auto # max_wait: 7d" in shown
    values = json.loads(CliRunner().invoke(app, ["settings", "a", "--json"]).stdout)
    assert values["trainings_of_all_models"]["runs_a_day"] == 20


def test_doctor_says_what_is_agreed_on_and_whether_it_is_enough(
    agreed: Agreed, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet = agreed(None)
    assert list(doctor._trainings(fleet.platform)) == []
    fleet = agreed(TrainingsPolicy(runs_a_day=20, cpu_hours_a_day=8))
    (finding,) = doctor._trainings(fleet.platform)
    assert finding.state == "good"
    assert finding.what == (
        "at most 20 trainings and 8 CPU hours a day; a false discovery rate of 0.05 among 5 looks a day; "
        "0 trainings in the queue"
    )
    fleet.decided("a", at=NOW - 8 * DAY)
    (finding,) = doctor._trainings(fleet.platform)
    assert finding.state == "warning"
    assert finding.what.endswith("1 training in the queue; 1 of them for more than 7 days")
    assert "raise it" in finding.fix

    def broken(_: Platform) -> None:
        raise ValueError("pyproject.toml: tool.mlops.trainings.runs_a_day is 0.")

    monkeypatch.setattr(Platform, "trainings_policy", broken)
    (finding,) = doctor._trainings(Platform.of(fleet.home))
    assert (finding.state, finding.what) == ("broken", "pyproject.toml: tool.mlops.trainings.runs_a_day is 0.")


def test_status_says_that_a_training_waits_for_its_turn(agreed: Agreed) -> None:
    fleet = agreed(ONE)
    entry = fleet.decided("a")
    assert "Its training waits for its turn: mlops queue" in said("status")
    assert fleet.turns() == ["a"]
    assert f"Its run ends: retrain by decision {entry.id[:8]}" in said("status")


# --- the project's file ----------------------------------------------------------------------------------------


def written(folder: Path, text: str) -> TrainingsPolicy | None:
    (folder / "pyproject.toml").write_text(f"[tool.mlops]\nsettings = 2\n{text}", encoding="utf-8")
    return read_trainings_policy(folder)


def test_the_file_is_read_again_when_it_has_changed(tmp_path: Path) -> None:
    assert read_trainings_policy(tmp_path) is None
    assert written(tmp_path, "") is None
    assert written(tmp_path, "[tool.mlops.trainings]\nruns_a_day = 20\n") == TrainingsPolicy(runs_a_day=20)
    assert written(tmp_path, '[tool.mlops.trainings]\nruns_a_day = 5\nmax_wait = "36h"\n') == TrainingsPolicy(
        runs_a_day=5, max_wait=timedelta(hours=36)
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[tool.mlops.trainings]\nruns = 3\n", "has no field 'runs': use one of runs_a_day, "),
        ("[tool.mlops.trainings]\nruns_a_day = 0\n", "runs_a_day is 0: write a whole number"),
        (
            "trainings = 7\n",
            r"tool\.mlops\.trainings is 7 and no table: write \[tool\.mlops\.trainings\] and runs_a_day = 20",
        ),
        ("[tool.mlops.trainings\n", "pyproject.toml: "),
    ],
)
def test_a_mistake_in_it_is_named_with_its_file(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        written(tmp_path, text)
    assert str(error.value).startswith(str(tmp_path / "pyproject.toml"))
    assert str(error.value).endswith("Until it is corrected no training starts.")
