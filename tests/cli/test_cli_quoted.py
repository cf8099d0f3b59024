"""Commands that sentences quote can be typed as they stand: they name the home that the reader works in."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from mlops_assets.cli import MOVED, app
from mlops_assets.commands.console import say, say_error, say_facts, say_table, use_home
from mlops_assets.core.values.quoted_commands import COMMANDS, in_home
from mlops_assets.world.alerts.alerts import Alerts
from mlops_assets.world.home import DEFAULT, Home
from mlops_assets.world.project import PROJECT
from tests.sent_alerts import sent_alerts

HOSTILE = ("a home", "o'brien's home", "[red]x[/red]", 'two"quotes', "$HOME", "a\\b", "\\1")


def test_the_names_are_those_of_the_commands() -> None:
    assert set(COMMANDS) == set(get_command(app).commands) | set(MOVED)  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_quoted_command_is_typed_as_it_stands(name: str) -> None:
    told = in_home("Look: mlops why churn, or `mlops quarantine release a 2013-01-01`.", name)
    command = told.removeprefix("Look: ").partition(", or ")[0]
    assert shlex.split(command) == ["mlops", "--home", name, "why", "churn"]
    assert told.count("--home") == 2
    assert in_home(told, "other") == told, "a command that names a home keeps it"


def commands(of: Any, name: str = "") -> Iterator[tuple[str, set[str]]]:
    """Each command by its full name, with its options."""
    for key, sub in getattr(of, "commands", {}).items():
        yield from commands(sub, f"{name} {key}".strip())
    if name and not hasattr(of, "commands"):
        yield name, {option for param in of.params for option in (*param.opts, *param.secondary_opts)}


def texts_of(file: Path) -> Iterator[str]:
    """The texts of a module, with X for what is filled in."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "X" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def test_the_options_of_commands_that_sentences_quote_are_theirs() -> None:
    root = get_command(app)
    options, everywhere = dict(commands(root)), {option for param in root.params for option in param.opts}
    quoted = re.compile(r"mlops ([a-z][a-z-]*)(?: ([a-z][a-z-]*))?((?:(?!mlops |`|; |, or |\. [A-Z]|\) ).)*)")
    wrong, seen = [], 0
    for file in sorted((PROJECT.root / "mlops_assets").rglob("*.py")):
        texts = (" ".join(text.split()) for text in texts_of(file))
        for first, second, rest in (found for text in texts for found in quoted.findall(text)):
            name = f"{first} {second}" if f"{first} {second}" in options else first
            named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", rest))
            seen += bool(named)
            wrong += [(file.name, name, option) for option in named - options.get(name, set()) - everywhere]
    assert not wrong
    assert seen > 50


def test_words_that_are_no_command_stay() -> None:
    told = "mlops is said by the mlops team; see mlops_assets/x, /srv/mlops up, mlops upkeep, mlops --home DIR demo."
    assert in_home(told, "/h") == told
    assert in_home("mlops up", "") == "mlops up"


@pytest.mark.parametrize("name", [name for name in HOSTILE if "\\" not in name])
def test_whatever_is_said_on_a_terminal_names_the_home_that_was_typed(
    name: str, home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    use_home(home.root / name, is_typed=True)
    try:
        wanted = f"mlops --home {shlex.quote(str(home.root / name))} up"
        say("Type mlops up")
        say_error("Type mlops up")
        shown = capsys.readouterr()
        assert wanted in shown.out
        assert wanted in shown.err
        say_facts([("Next", "mlops up")])
        say_table("Title", ["a", "b"], [("x", "mlops up")])
        shown = capsys.readouterr()
        assert "".join(shown.out.split()).count("".join(wanted.split())) == 2
    finally:
        use_home(None)
    say("Type mlops up")
    assert "--home" not in capsys.readouterr().out


def test_errors_and_next_steps_of_a_command_name_its_home(home: Home, tmp_path: Path) -> None:
    other = tmp_path / "another home"
    Home(other).prepare()
    run = CliRunner().invoke
    wanted = f"mlops --home {shlex.quote(str(other))} "
    paused = run(app, ["--home", str(other), "pause", "flight_delay", "--reason", "a test"])
    assert f"{wanted}resume flight_delay" in paused.stdout
    refused = run(app, ["--home", str(other), "quarantine", "release", "weather", "2013-01-02", "--reason", "test"])
    assert f"{wanted}quarantine list" in refused.stderr
    use_home(None)


def test_an_alert_names_its_home_unless_it_is_the_default_one(tmp_path: Path) -> None:
    alerts = Alerts(root=str(tmp_path))
    told = {
        "happened": "It broke.",
        "did": "It waits: mlops approve churn",
        "do": "See `mlops why churn`.",
        "runbook": "x",
    }
    alerts.send(incident="1", **told)
    (sent,) = sent_alerts(alerts.file)
    assert (sent.did, sent.do) == (
        f"It waits: mlops --home {tmp_path} approve churn",
        f"See `mlops --home {tmp_path} why churn`.",
    )
    assert alerts.incidents.state().open[0].report.do == sent.do
    assert Home(DEFAULT).said("mlops why churn") == "mlops why churn"
