"""The documentation says what the code does: fields and defaults, links, runbook sections, commands."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Iterator
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, get_args

import pytest
import typer
import typer.main
import yaml
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from mlops_assets.cli import app
from mlops_assets.core import settings, settings_sections
from mlops_assets.core.decide.fleet.trainings_policy import TrainingsPolicy
from mlops_assets.core.decide.policy import RetrainPolicy
from mlops_assets.core.drift import settings as drift_settings
from mlops_assets.core.settings_fleet import FleetSettings
from mlops_assets.core.settings_kinds import COMPONENTS
from mlops_assets.core.sources import pull_settings, stream_settings
from mlops_assets.core.sources import settings as source_settings
from mlops_assets.core.stats.metrics import metrics_for

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
SECTIONS = {
    ("sources.md", "Source"): source_settings.SourceSettings,
    ("sources.md", "Contract"): source_settings.ContractSettings,
    ("sources.md", "Rows"): source_settings.RowsContract,
    ("sources.md", "Columns"): source_settings.ColumnSpec,
    ("sources.md", "Pull"): pull_settings.PullSpec,
    ("streams.md", "Source"): stream_settings.StreamSettings,
    ("streams.md", "Stream"): stream_settings.StreamSpec,
    ("models.md", "Model"): settings.ModelSettings,
    ("models.md", "Label"): settings_sections.LabelSettings,
    ("models.md", "Training"): settings_sections.TrainingSpec,
    ("models.md", "Monitoring"): settings_sections.MonitoringSpec,
    ("models.md", "Drift"): drift_settings.DriftSpec,
    ("models.md", "Performance"): settings_sections.PerformanceSpec,
    ("models.md", "Further limits"): settings_sections.LimitSpec,
    ("models.md", "Fairness"): settings_sections.FairnessSpec,
    ("models.md", "Retraining"): RetrainPolicy,
    ("models.md", "Probe"): settings_sections.ProbeSpec,
    ("models.md", "Gate"): settings_sections.GateSpec,
    ("models.md", "Rollout"): settings_sections.RolloutSpec,
    ("models.md", "Serving"): settings_sections.ServingSpec,
    ("models.md", "Events"): settings_sections.EventSpec,
}
REQUIRED = "required"
ALL_DEFAULTS = "all defaults"
COMMAND: Any = typer.main.get_command(app)


# --- fields and defaults -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """One row of a table of fields."""

    field: str
    default: str
    meaning: str


def section(page: str, title: str) -> str:
    text = (DOCS / page).read_text(encoding="utf-8")
    parts = re.split(r"(?m)^## (.+)$", text)
    return dict(zip(parts[1::2], parts[2::2], strict=True))[title]


def table(page: str, title: str) -> list[Row]:
    rows = re.findall(r"(?m)^\| `(\w+)` \| (.*?) \| (.*) \|$", section(page, title))
    return [Row(*row) for row in rows]


def defaults(kind: Any) -> dict[str, Any]:
    """Default of each field as YAML would have it; `REQUIRED` where there is none."""
    if issubclass(kind, BaseModel):
        made = {
            name: REQUIRED if found.is_required() else found.get_default(call_default_factory=True)
            for name, found in kind.model_fields.items()
        }
    else:
        made = {f.name: REQUIRED if f.default is MISSING else f.default for f in fields(kind)}
    if kind is RetrainPolicy:
        return {"on": None, **RetrainPolicy().to_dict()}
    assert PydanticUndefined not in made.values()
    return {name: plain(value) for name, value in made.items()}


def plain(value: Any) -> Any:
    if isinstance(value, source_settings.RowsContract):
        return value.model_dump()
    if isinstance(value, BaseModel) or is_dataclass(value):
        return ALL_DEFAULTS
    return list(value) if isinstance(value, tuple) else value


def written(default: str) -> Any:
    return default if default in (REQUIRED, ALL_DEFAULTS) else yaml.safe_load(default.strip("`"))


@pytest.mark.parametrize("where", SECTIONS, ids="/".join)
def test_every_field_is_documented_with_its_default(where: tuple[str, str]) -> None:
    rows = table(*where)
    assert {row.field: written(row.default) for row in rows} == defaults(SECTIONS[where])
    assert len(rows) == len({row.field for row in rows})
    assert all(len(row.meaning) > 10 for row in rows)


def test_what_holds_for_all_trainings_is_documented_with_its_default() -> None:
    """A table of pyproject.toml, so with the quotes that TOML asks for."""
    rows = {row.field: row.default.strip('`"') for row in table("fleets.md", "One budget for all trainings")}
    assert rows == {name: "none" if value is None else value for name, value in TrainingsPolicy().to_dict().items()}
    example = re.search(r"```toml\n(.*?)```", section("fleets.md", "One budget for all trainings"), re.DOTALL)
    assert example is not None
    tools = tomllib.loads(example[1])["tool"]
    assert TrainingsPolicy.from_table(tools["mlops"]["trainings"]) == TrainingsPolicy(runs_a_day=20, cpu_hours_a_day=8)


def nested(kind: Any) -> Iterator[Any]:
    """The types that a setting's fields hold, and theirs."""
    if issubclass(kind, BaseModel):
        held = [found.annotation for found in kind.model_fields.values()]
    else:
        held = [f.type for f in fields(kind)]
    for annotation in held:
        for each in (annotation, *get_args(annotation)):
            if isinstance(each, type) and (is_dataclass(each) or issubclass(each, BaseModel)):
                yield each
                yield from nested(each)


def test_no_part_of_the_yaml_is_left_out() -> None:
    kinds = set(COMPONENTS.values())
    kinds |= {part for kind in COMPONENTS.values() for part in nested(kind)}
    assert kinds == {*SECTIONS.values(), FleetSettings}
    assert {row.field: written(row.default) for row in table("fleets.md", "The fields of a fleet")} == {
        name: default
        for name, default in defaults(FleetSettings).items()
        if name not in settings.ModelSettings.model_fields
    }


def test_the_metrics_of_each_task_are_listed() -> None:
    found = dict(re.findall(r"(?m)^\| (\w+) \| (`.*`) \|$", section("models.md", "Metrics")))
    tasks = get_args(settings.Task)
    assert {task: re.findall(r"`(\w+)`", names) for task, names in found.items()} == {
        task: list(metrics_for(task)) for task in tasks
    }


@pytest.mark.parametrize(
    ("page", "kind"),
    [
        ("README.md", source_settings.SourceSettings),
        ("docs/sources.md", source_settings.SourceSettings),
        ("docs/models.md", settings.ModelSettings),
        ("docs/fleets.md", FleetSettings),
    ],
)
def test_the_examples_are_valid(page: str, kind: Any) -> None:
    block = re.search(r"(?s)```yaml\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"))
    assert block is not None
    document = yaml.safe_load(block[1])
    assert COMPONENTS[document["type"].rsplit(".", 1)[-1]] is kind
    kind.model_validate(document["attributes"])


# --- links -------------------------------------------------------------------------------------------------


def without_code(text: str) -> str:
    return re.sub(r"(?ms)^ *```.*?^ *```|`[^`\n]*`", "", text)


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives the headings of a page."""
    text = re.sub(r"(?ms)^ *```.*?^ *```", "", page.read_text(encoding="utf-8"))
    titles = re.findall(r"(?m)^#+ (.+)$", text)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(page.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            broken.append(target)
    assert broken == []


def test_pictures_are_small() -> None:
    sizes = {path.name: path.stat().st_size // 1024 for path in (DOCS / "images").glob("*.png")}
    assert sizes, "the README shows the lineage and the report"
    assert {name: kib for name, kib in sizes.items() if kib >= 300} == {}


def test_every_decision_is_short_and_listed() -> None:
    records = sorted((DOCS / "adr").glob("[0-9]*.md"))
    index = (DOCS / "architecture.md").read_text(encoding="utf-8")
    assert [record.name[:4] for record in records] == [f"{n:04}" for n in range(1, len(records) + 1)]
    for record in records:
        text = record.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= 25, record.name
        assert re.findall(r"(?m)^## (.+)$", text) == ["Context", "Decision", "Consequences"], record.name
        assert f"adr/{record.name}" in index, f"list {record.name} in docs/architecture.md"


def test_every_runbook_section_that_code_names_exists() -> None:
    package = [path.read_text(encoding="utf-8") for path in (ROOT / "mlops_assets").rglob("*.py")]
    # `runbook="stale-source"`, `"runbook": "stale-source"`, and the alternatives of a condition on that line.
    given = [line for text in package for line in re.findall(r'runbook"?(?:=|: )(".*)', text)]
    named = {name for line in given for name in re.findall(r'"([a-z-]+)"', line)}
    named |= {name for text in package for name in re.findall(r"docs/runbook\.md#([a-z][a-z-]*)", text)}
    assert named >= {"stale-source", "failed-run", "quarantine"}
    assert named - anchors(DOCS / "runbook.md") == set()


def test_pages_that_code_names_exist() -> None:
    package = [path.read_text(encoding="utf-8") for path in (ROOT / "mlops_assets").rglob("*.py")]
    named = {name for text in package for name in re.findall(r"\bdocs/[\w/-]+\.md", text)}
    assert named >= {"docs/runbook.md", "docs/sources.md", "docs/models.md"}
    assert {name for name in named if not (ROOT / name).exists()} == set()


# --- commands ----------------------------------------------------------------------------------------------


@cache
def groups() -> dict[str, Any]:
    return dict(COMMAND.commands)


def commands(text: str) -> Iterator[str]:
    """Every `mlops ...` that a page tells to type: in a block of code or between backticks."""
    blocks = re.findall(r"(?ms)^ *```\w*\n(.*?)^ *```", text)
    for line in (line for block in blocks for line in block.splitlines()):
        if found := re.match(r"\s*(?:\$ )?(?:MLOPS_HOME=\S+ )?(mlops .*?)(?:\s+#.*)?$", line):
            yield found[1]
    outside = re.sub(r"(?ms)^ *```.*?^ *```", "", text)
    for found in re.findall(r"`(?:MLOPS_HOME=\S+ )?(mlops [^`]*)`", outside):
        yield re.sub(r"\s+", " ", found)


def is_example(argument: str) -> bool:
    """Whether a text only stands for a value: MODEL, SOURCE, DAY, `...`, `<model>`."""
    return argument == "..." or bool(re.fullmatch(r"[A-Z][A-Z_]+|<\w+>", argument))


def check(line: str) -> None:
    """Parse a command as a terminal would; nothing is run.

    In running text a command may be named without its arguments (`mlops retrain MODEL`), or several at once
    (`mlops pause|resume MODEL`): then the command must exist and what is given must be known.
    """
    words = shlex.split(line)[1:]
    context = COMMAND.make_context("mlops", [*_global(words), "status"], resilient_parsing=True)
    words = words[len(_global(words)) :]
    command = COMMAND
    while words and hasattr(command, "commands"):
        if is_example(words[0]):
            return
        names = words.pop(0).split("|")
        for name in names:
            assert name in command.commands, f"`{line}`: there is no command {name}"
        command = command.commands[names[0]]
    known = {option for p in command.params for option in (*p.opts, *p.secondary_opts)}
    options = [word.partition("=")[0] for word in words if word.startswith("--")]
    unknown = [option for each in options for option in each.split("|") if option not in known]
    assert not unknown, f"`{line}`: {command.name} has no option {', '.join(unknown)}"
    complete = all(not is_example(word) and "|" not in word for word in words)
    if complete and words:
        command.make_context(str(command.name), list(words), parent=context)


def _global(words: list[str]) -> list[str]:
    """The options before the command."""
    count = 0
    while count < len(words) and words[count].startswith("--"):
        count += 1 if words[count] == "--traceback" or "=" in words[count] else 2
    return words[:count]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_commands_exist(page: Path) -> None:
    for line in commands(page.read_text(encoding="utf-8")):
        if line.strip() != "mlops …":
            check(line)


def test_the_check_of_commands_notices() -> None:
    check("mlops quarantine list|release")
    check("mlops --home /tmp/home record show flight_delay --limit 5")
    for wrong in ("mlops undo flight_delay", "mlops status --yaml"):
        with pytest.raises(AssertionError, match=r"no command undo|no option --yaml"):
            check(wrong)
    for wrong in ("mlops record show flight_delay --limit x", "mlops retrain flight_delay"):
        with pytest.raises(typer.BadParameter):
            check(wrong)


def test_make_targets_that_pages_name_exist() -> None:
    targets = set(re.findall(r"(?m)^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8")))
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        blocks = "\n".join(re.findall(r"(?ms)^ *```\w*\n(.*?)^ *```", text))
        named = set(re.findall(r"`make ([a-z-]+)", text)) | set(re.findall(r"(?m)^\s*make ([a-z-]+)", blocks))
        assert named - targets == set(), page.name


def test_the_two_commands_are_named() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "make demo" in readme
    assert "make test" in readme
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    for target in ("demo", "test"):
        assert re.search(rf"`make {target}`|make targets[^.]*`{target}`", changes)
