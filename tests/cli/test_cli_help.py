"""Every command has help with an example, and the examples are commands that exist."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import dagster
import duckdb
import pytest
import typer.main
from typer.core import TyperGroup
from typer.testing import CliRunner

from mlops_assets.cli import GROUPS, app
from tests.checkout import CHECKOUT

ROOT: Any = typer.main.get_command(app)


def leaves(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from leaves(command, (*path, name))
        else:
            yield (*path, name), command


COMMANDS = dict(leaves(ROOT))
GROUPS_OF_COMMANDS = {(name,): of for name, of in ROOT.commands.items() if isinstance(of, TyperGroup)}


def examples(command: Any) -> list[list[str]]:
    return [shlex.split(line) for line in re.findall(r"^\$ (.+)$", command.epilog or "", flags=re.MULTILINE)]


def test_the_commands_are_all_there() -> None:
    wanted = {"land", "status", "why", "decide", "retrain", "pause", "resume", "replay", "demo", "up", "drift"}
    wanted |= {
        "quarantine list",
        "quarantine release",
        "record show",
        "record verify",
        "champion-at",
        "explain",
        "reproduce",
        "backtest",
        "power",
        "golden",
        "metrics",
        "alerts test",
        "alerts list",
        "alerts digest",
    }
    wanted |= {
        "init",
        "evidently",
        "new-model",
        "doctor",
        "backup",
        "migrate",
        "upgrade",
        "adopt",
        "clean",
        "freeze",
        "unfreeze",
        "snooze",
        "wake",
        "approve",
        "reject",
        "rollback",
        "rollout",
        "serve",
        "settings",
        "queue",
        "api-key",
        "traffic",
        "drill rollback",
        "pull",
        "stream run",
        "stream list",
        "stream retry",
        "look-ahead",
        "feature-report",
        "dbt-ci",
    }
    assert {" ".join(path) for path in COMMANDS} == wanted


def test_the_version_is_that_of_the_package() -> None:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    first, tools = CliRunner().invoke(app, ["--version"]).stdout.splitlines()
    assert first == f"{project['name']} {project['version']}"
    assert {f"duckdb {duckdb.__version__}", f"dagster {dagster.__version__}"} <= set(tools.split(", "))


def test_each_command_stands_under_one_heading() -> None:
    named = [name for names in GROUPS.values() for name in names]
    assert sorted(named) == sorted(ROOT.commands)
    shown = CliRunner().invoke(app, ["--help"]).stdout
    places = [shown.index(f"─ {heading} ─") for heading in GROUPS]
    assert places == sorted(places)
    assert "─ Commands ─" not in shown
    assert max(map(len, CliRunner().invoke(app, ["--help"], env={"COLUMNS": "80"}).stdout.splitlines())) <= 80


def test_former_names_lead_to_what_took_their_place() -> None:
    for former, now in (("decisions", "record show"), ("ledger verify", "record verify")):
        shown, wanted = (CliRunner().invoke(app, [*words.split(), "--help"]) for words in (former, now))
        assert shown.exit_code == 0
        assert shown.stdout == wanted.stdout


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_has_help_with_an_example(path: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(app, [*path, "--help"])
    assert shown.exit_code == 0
    assert len(COMMANDS[path].help) > 30
    assert any(line[: len(path) + 1] == ["mlops", *path] for line in examples(COMMANDS[path]))


@pytest.mark.parametrize("width", [60, 80])
@pytest.mark.parametrize("path", [(), *GROUPS_OF_COMMANDS, *COMMANDS], ids=" ".join)
def test_help_is_wrapped_once_at_the_width_of_the_terminal(path: tuple[str, ...], width: int) -> None:
    """A line ends where the next word does not fit, or where a sentence's paragraph does."""
    command = COMMANDS.get(path) or GROUPS_OF_COMMANDS.get(path) or ROOT
    shown = CliRunner().invoke(app, [*path, "--help"], env={"COLUMNS": str(width)}).stdout
    described = re.split(r"\n *Usage: .*(?:\n .*\S.*)*\n *\n", shown)[1].split("╭")[0]
    paragraphs = [[line.strip() for line in of.splitlines()] for of in re.split(r"\n *\n", described) if of.strip()]
    assert [" ".join(lines) for lines in paragraphs] == [" ".join(of.split()) for of in command.help.split("\n\n")]
    for lines in paragraphs:
        for line, after in pairwise(lines):
            assert len(f" {line} {after.split()[0]} ") > width, (line, after)


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_option_is_explained(path: tuple[str, ...]) -> None:
    for parameter in COMMANDS[path].params:
        assert parameter.name == "help" or parameter.help, f"{parameter.name} has no help"


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_examples_can_be_parsed(path: tuple[str, ...]) -> None:
    command = COMMANDS[path]
    for line in examples(command):
        command.make_context(path[-1], line[len(path) + 1 :])


@pytest.mark.parametrize("words", ["status", "why flight_delay", "record show flight_delay", "alerts list"])
def test_a_mistyped_home_is_not_made_by_who_only_looks(words: str, tmp_path: Path) -> None:
    typed = tmp_path / "nohome"
    shown = CliRunner().invoke(app, ["--home", str(typed), *words.split()])
    assert shown.exit_code == 1
    assert "There is no home" in shown.stderr
    assert not typed.exists()
