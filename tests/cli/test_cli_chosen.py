"""Commands on several models: who is chosen, who is asked before, who refuses, and what is on record."""

from __future__ import annotations

import io
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from mlops_assets.cli import app
from mlops_assets.commands import choosing, console
from mlops_assets.core.record.entries import Freeze, Pause, Request, Resume, Snooze, Unfreeze, Wake
from mlops_assets.world import platform as platforms
from mlops_assets.world.home import Home
from mlops_assets.world.landed import sources as landed
from mlops_assets.world.record.record import Record
from tests.checkout import CHECKOUT

Mlops = Callable[..., Result]
MODELS = {"eu/north/alpha": ["team:north"], "eu/beta": ["team:eu", "team:north"], "us/gamma": [], "delta": ["team:eu"]}
REASON = ("--reason", "the feed moves")
COMMANDS = ("pause", "resume", "freeze", "unfreeze", "snooze", "wake", "retrain", "rollback")


@pytest.fixture
def defs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four models and the demo's sources; `us` has its owner by defaults."""
    folder = tmp_path / "defs"
    demo = CHECKOUT / "mlops_assets" / "defs"
    written = yaml.safe_load((demo / "flight_delay" / "defs.yaml").read_text(encoding="utf-8"))
    for place, owners in MODELS.items():
        name = place.rpartition("/")[2]
        own = {**written["attributes"], "name": name, "owners": owners}
        if not owners:
            del own["owners"]
        (folder / place).mkdir(parents=True)
        (folder / place / "defs.yaml").write_text(
            yaml.safe_dump({**written, "attributes": own}, sort_keys=False), encoding="utf-8"
        )
    (folder / "us" / "defaults.yaml").write_text("owners: ['team:us']\n", encoding="utf-8")
    for source in ("flights", "airports", "planes", "weather"):
        shutil.copytree(demo / source, folder / source)
    for module in (console, choosing, platforms, landed):
        monkeypatch.setattr(module, "DEFS", folder)
    return folder


def entries(home: Home, name: str) -> list[tuple[str, str, str]]:
    return [(entry.kind, entry.reason, getattr(entry, "by", "")) for entry in Record(home.ledger).entries(name)]


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        (["--all"], "alpha beta delta gamma"),
        (["--owner", "team:north"], "alpha beta"),
        (["--owner", "team:us"], "gamma"),
        (["--group", "eu"], "alpha beta"),
        (["--group", "eu/north"], "alpha"),
        (["--group", "./eu/"], "alpha beta"),
        (["--group", "delta"], "delta"),
        (["delta"], "delta"),
    ],
)
def test_each_chosen_model_has_its_own_entry(
    mlops: Mlops, home: Home, defs: Path, choice: list[str], names: str
) -> None:
    done = mlops("pause", *choice, *REASON, "--yes")
    assert done.exit_code == 0, done.output
    paused = {name: entries(home, name) for name in ("alpha", "beta", "gamma", "delta")}
    wanted = {name: [("pause", "the feed moves", "ada")] if name in names.split() else [] for name in paused}
    assert paused == wanted
    for name in names.split():
        assert f"{name} is paused" in done.stdout
    count = len(names.split())
    assert (f"mlops pause for {count} models: {', '.join(names.split())}." in done.stdout) == (count > 1)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    "choice", [[], ["alpha", "--all"], ["--all", "--owner", "x"], ["--owner", "x", "--group", "y"]]
)
def test_models_are_chosen_in_one_way(mlops: Mlops, home: Home, defs: Path, command: str, choice: list[str]) -> None:
    more = {"freeze": ["--until", "2099-01-01"], "snooze": ["--for", "7d"]}.get(command, [])
    failed = mlops(command, *choice, *REASON, *more)
    assert failed.exit_code == 1
    assert "Choose models in one way: MODEL, `--all`, `--owner WHO` or `--group FOLDER`" in failed.stderr
    assert f"`mlops {command} --owner team:fraud`" in failed.stderr
    assert not home.ledger.exists()


@pytest.mark.parametrize(
    ("choice", "why"),
    [
        (
            ["--owner", "team:nobody"],
            "No model has the owner 'team:nobody'. Owners: team:eu (2 models), team:north (2 models), team:us (1 mod",
        ),
        (
            ["--group", "north"],
            "Folders with models: delta (1 model), eu (2 models), eu/beta (1 model), eu/north (1 model), ",
        ),
        (["--group", "../defs"], "No model stands in the folder '../defs' of "),
    ],
)
def test_who_chooses_nothing_is_told_what_there_is(
    mlops: Mlops, home: Home, defs: Path, choice: list[str], why: str
) -> None:
    failed = mlops("pause", *choice, *REASON, "--yes")
    assert failed.exit_code == 1
    assert why in failed.stderr
    assert "Nothing was written." in failed.stderr
    assert not home.ledger.exists()


def test_without_models_all_are_none(mlops: Mlops, home: Home, defs: Path) -> None:
    for place in MODELS:
        shutil.rmtree(defs / place)
    failed = mlops("pause", "--all", *REASON, "--yes")
    assert failed.exit_code == 1
    assert f"No model is declared under {defs}. " in failed.stderr


def test_every_command_does_it_for_each(mlops: Mlops, home: Home, defs: Path) -> None:
    group = ("--group", "eu", *REASON, "--yes")
    for command, more, kind in (
        ("pause", (), Pause),
        ("resume", (), Resume),
        ("freeze", ("--until", "2099-01-01"), Freeze),
        ("unfreeze", (), Unfreeze),
        ("snooze", ("--for", "7d", "--by", "ana"), Snooze),
        ("wake", (), Wake),
        ("retrain", (), Request),
    ):
        done = mlops(command, *group, *more)
        assert done.exit_code == 0, done.output
        for name in ("alpha", "beta"):
            newest = Record(home.ledger).entries(name)[-1]
            assert (type(newest), newest.reason) == (kind, "the feed moves")
    assert [entries(home, name) for name in ("gamma", "delta")] == [[], []]


def test_who_refuses_is_named_and_the_others_are_done(mlops: Mlops, home: Home, defs: Path) -> None:
    mlops("pause", "alpha", "--reason", "before")
    record = Record(home.ledger)
    record.note("beta", Pause, reason="before", by="ada")
    record.file("beta").write_bytes(b"no entry\n" + record.file("beta").read_bytes())
    done = mlops("resume", "--all", *REASON, "--yes")
    assert done.exit_code == 1
    assert "beta: " in done.stderr
    assert "beta.jsonl, line 1" in done.stderr
    assert "Error: gamma: gamma is not paused; nothing was written." in done.stderr
    assert "alpha" not in done.stderr
    assert entries(home, "alpha")[-1] == ("resume", "the feed moves", "ada")
    again = mlops("pause", "--group", "eu/north", "--reason", "x")
    assert again.exit_code == 0
    again = mlops("pause", "--owner", "team:north", "--reason", "y", "--yes")
    assert again.exit_code == 1
    assert "alpha: alpha is paused already: x (ada). Nothing was written." in again.stderr
    assert [reason for _, reason, _ in entries(home, "alpha")] == ["before", "the feed moves", "x"]


def test_rolling_back_names_who_has_nothing_to_go_back_to(mlops: Mlops, home: Home, defs: Path) -> None:
    done = mlops("rollback", "--group", "eu", *REASON, "--yes", "--json")
    assert done.exit_code == 1
    printed = json.loads(done.stdout)
    assert printed["done"] == {}
    assert printed["refused"].keys() == {"alpha", "beta"}
    assert "alpha has no version to go back to that was not left before" in printed["refused"]["alpha"]
    failed = mlops("rollback", "--all", "--to", "3", *REASON, "--yes")
    assert failed.exit_code == 1
    assert "`--to` says something of one model: name it, for example `mlops rollback flight_delay`" in failed.stderr


def test_requests_as_json(mlops: Mlops, home: Home, defs: Path) -> None:
    printed = json.loads(mlops("retrain", "--group", "eu", *REASON, "--json", "--yes").stdout)
    assert printed["refused"] == {}
    assert {name: answer["state"] for name, answer in printed["done"].items()} == {
        "alpha": "waiting",
        "beta": "waiting",
    }
    alone = json.loads(mlops("retrain", "delta", *REASON, "--json").stdout)
    assert (alone["model"], alone["state"]) == ("delta", "waiting")


class Keyboard(io.StringIO):
    """A terminal at which somebody types."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 1), ("\n", 1)])
def test_a_person_is_asked_before_it_is_done_to_several(
    home: Home, defs: Path, monkeypatch: pytest.MonkeyPatch, answer: str, code: int
) -> None:
    monkeypatch.setattr(choosing, "sys", type("System", (), {"stdin": Keyboard()}))
    done = CliRunner().invoke(app, ["pause", "--group", "eu", *REASON], input=answer)
    assert done.exit_code == code
    assert "mlops pause for 2 models: alpha, beta. Go on?" in done.stderr
    assert bool(entries(home, "alpha")) == (code == 0)
    assert ("Nothing was written." in done.stdout) == (code == 1)
    assert "Go on?" not in CliRunner().invoke(app, ["pause", "--group", "us", *REASON]).stderr, "one is not several"


def test_a_script_has_to_say_yes(mlops: Mlops, home: Home, defs: Path) -> None:
    assert not sys.stdin.isatty()
    failed = mlops("pause", "--all", *REASON)
    assert failed.exit_code == 1
    assert "mlops pause for 4 models: alpha, beta, delta, gamma. Without a terminal" in failed.stderr
    assert "add --yes to do it. Nothing was written." in failed.stderr
    assert not home.ledger.exists()


def test_models_that_cannot_be_read_are_named(mlops: Mlops, home: Home, defs: Path) -> None:
    """A file that is no YAML may be about any owner's model; a wrong value hides neither name nor owner."""
    broken = defs / "eu" / "beta" / "defs.yaml"
    whole = broken.read_text(encoding="utf-8")
    broken.write_text(whole + "  colour: red\n", encoding="utf-8")
    assert mlops("pause", "--owner", "team:north", *REASON, "--yes").exit_code == 0
    assert entries(home, "beta")
    broken.write_text(whole + "  colour: [\n", encoding="utf-8")
    for choice in (["--all"], ["--owner", "team:us"], ["--group", "eu"]):
        done = mlops("retrain", *choice, *REASON, "--yes")
        assert done.exit_code == 1
        assert "beta: " in done.stderr
        assert f"{broken}:" in done.stderr
    assert mlops("retrain", "--group", "us", *REASON).exit_code == 0
    assert entries(home, "gamma")[-1][0] == "request"


def test_defaults_that_cannot_be_read_hide_owners(mlops: Mlops, home: Home, defs: Path) -> None:
    (defs / "us" / "defaults.yaml").write_text("owners: [\n", encoding="utf-8")
    done = mlops("pause", "--owner", "team:eu", *REASON, "--yes")
    assert done.exit_code == 1
    assert f"gamma: {defs}/us/defaults.yaml:2: this is no YAML" in done.stderr
    assert entries(home, "beta")
    assert not entries(home, "gamma")


def test_status_shows_the_chosen_models_alone(mlops: Mlops, home: Home, defs: Path) -> None:
    home.prepare()
    assert json.loads(mlops("status", "--group", "eu", "--json").stdout)["models"].keys() == {"alpha", "beta"}
    assert json.loads(mlops("status", "--owner", "team:us", "--json").stdout)["models"].keys() == {"gamma"}
    assert json.loads(mlops("status", "--json").stdout)["models"].keys() == {"alpha", "beta", "gamma", "delta"}
    failed = mlops("status", "--owner", "team:us", "--group", "eu")
    assert failed.exit_code == 1
    assert "Choose by `--owner WHO` or `--group FOLDER`" in failed.stderr
    assert "Owners: team:eu (2 models)" in mlops("status", "--owner", "x").stderr
