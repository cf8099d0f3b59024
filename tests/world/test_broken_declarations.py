"""One broken `defs.yaml`, by each kind of damage: all readers go on for the others, and say what is wrong with it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from mlops_assets.commands import console, readers
from mlops_assets.core.record.entries import Pause
from mlops_assets.landing.nycflights13 import land
from mlops_assets.steps.keep import doctor
from mlops_assets.steps.keep.doctor import examine
from mlops_assets.steps.keep.metric_values import models, record, sources
from mlops_assets.steps.keep.standing import standing
from mlops_assets.world import platform as platforms
from mlops_assets.world.home import Home, HomeSettings
from mlops_assets.world.landed import sources as landed
from mlops_assets.world.landed.partitions import TakenRecord
from mlops_assets.world.landed.sources import DEFS, Sources
from mlops_assets.world.platform import Platform
from tests import forked
from tests.checkout import CHECKOUT

PLANES = (DEFS / "planes" / "defs.yaml").read_text()
DAMAGE: dict[str, tuple[bytes, str]] = {
    "twice": (PLANES.encode() + b"type: x\n", r":\d+: type stands in line 1 already. Keep one of the two"),
    "twice in a line": (
        PLANES.encode() + b"requirements: {env: [A], env: [B]}\n",
        r":\d+: env stands in line \d+ already",
    ),
    "syntax": (PLANES.replace("attributes:", "attributes: [", 1).encode(), r":4: this is no YAML"),
    "field": (PLANES.encode() + b"  colour: red\n", r":\d+: attributes\.colour: there is no such field"),
    "type of a field": (
        PLANES.replace("name: planes", "name: planes\n  start: soon").encode(),
        r":4: attributes.start",
    ),
    "contract": (PLANES.replace("type: string", "type: strin", 1).encode(), r":\d+: attributes\.contract\.columns"),
    "a list": (b"- name: planes\n", r": document 1 of it is no settings"),
    "empty": (b"", r": it is empty"),
    "comments alone": (b"# planes\n---\n# more\n", r": it is empty"),
    "conflict": (b"<<<<<<< HEAD\n" + PLANES.encode() + b"=======\n>>>>>>> them\n", r":1: two versions of it were"),
    "not UTF-8": (PLANES.encode() + b"# caf\xe9\n", r":\d+: it is not UTF-8"),
    "control character": (PLANES.encode() + b"# \x00\n", r":\d+: this is no YAML"),
    "no such day": (PLANES.encode() + b"  start: 2024-13-45\n", r": it cannot be read \(month must be"),
    "nested": (b"[" * 5_000, r": it is nested without end"),
    "component": (PLANES.replace("LandingSource", "LandingSauce").encode(), r":\d+: there is no type mlops_assets"),
    "no component": (PLANES.replace("type:", "tipe:", 1).encode(), r":1: there is no such field beside type"),
    "taken name": (PLANES.replace("name: planes", "name: flights").encode(), r":3: the name 'flights' is taken"),
    "a folder": (b"", r": it cannot be read"),
}


@pytest.fixture
def defs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of all declarations, which every reader reads."""
    folder = tmp_path / "defs"
    shutil.copytree(DEFS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    for module in (console, readers, platforms, landed):
        monkeypatch.setattr(module, "DEFS", folder)
    return folder


@pytest.fixture(scope="module")
def landing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two days of flights, to be copied."""
    folder = tmp_path_factory.mktemp("landed") / "landing"
    land(folder, date(2013, 1, 2))
    return folder


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, landing: Path) -> Home:
    monkeypatch.setenv("MLOPS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home" / "dagster"))
    monkeypatch.setenv("COLUMNS", "400")
    home = Home(tmp_path / "home").prepare()
    home.configure(HomeSettings(clock="data"))
    shutil.copytree(landing, home.landing, dirs_exist_ok=True)
    return home


@pytest.fixture
def mlops(home: Home) -> Callable[..., Result]:
    from mlops_assets.cli import app

    return lambda *arguments: CliRunner().invoke(app, list(arguments))


def damage(defs: Path, kind: str, name: str = "planes") -> tuple[Path, str]:
    """Break one file; the sentence that everybody says is a pattern behind its path."""
    file = defs / name / "defs.yaml"
    content, told = DAMAGE[kind]
    if kind == "a folder":
        file.unlink()
        file.mkdir()
    else:
        file.write_bytes(content.replace(b"planes", name.encode()))
    return file, re.escape(str(file)) + told


@pytest.mark.parametrize("kind", DAMAGE)
def test_readers_go_on_for_the_others_and_name_the_file(
    home: Home, defs: Path, mlops: Callable[..., Result], kind: str
) -> None:
    _, told = damage(defs, kind)
    platform = Platform.of(home)
    assert sorted(platform.models()) == ["arrival_delay", "card_fraud", "carrier_delay", "flight_delay"]
    assert "flights" in platform.sources.settings()
    outlook = platform.sources.outlook(platform.groups())
    assert re.search(told, " ".join(outlook.waiting)), "what is joined with it waits"
    assert not outlook.periods
    found = standing(home)
    assert found["models"].keys() == platform.models().keys()
    assert re.search(told, *found["broken_files"].values())
    assert re.search(told, " ".join(found["models"]["flight_delay"]["trouble"]))
    assert not found["models"]["card_fraud"]["now"]
    assert not re.search(told, " ".join(found["models"]["card_fraud"]["trouble"]))
    for gather in (models, record, sources):
        assert list(gather(platform))
    shown = mlops("status")
    assert (shown.exit_code, bool(re.search(told, shown.output))) == (0, True)
    json.loads(mlops("status", "--json").output)
    for fine in (("quarantine", "list"), ("pause", "card_fraud", "--reason", "x")):
        assert mlops(*fine).exit_code == 0, fine
    for about in (("pull", "planes"), ("land", "planes", "--files", "x.csv"), ("decide", "flight_delay", "--dry-run")):
        failed = mlops(*about)
        assert failed.exit_code == 1
        assert re.search(told, str(failed.exception) + failed.output), about


@pytest.mark.parametrize("kind", ["syntax", "field", "empty"])
def test_doctor_names_the_file_and_looks_on(home: Home, defs: Path, kind: str) -> None:
    _, told = damage(defs, kind)
    findings = examine(home)
    (finding,) = [finding for finding in findings if finding.about == "planes"]
    assert (finding.state, bool(re.search(told, finding.what))) == ("broken", True)
    assert {"card_fraud", "landing", "Feast", "sensors"} <= {finding.about for finding in findings}


@pytest.mark.parametrize("kind", ["syntax", "empty", "not UTF-8", "conflict"])
def test_a_command_about_a_broken_model_says_why(
    home: Home, defs: Path, mlops: Callable[..., Result], kind: str
) -> None:
    _, told = damage(defs, kind, "card_fraud")
    for command in ("why", "pause", "decide"):
        failed = mlops(command, "card_fraud", *(("--reason", "x") if command == "pause" else ()))
        assert failed.exit_code == 1
        assert re.search(told, str(failed.exception) + failed.output)
    assert mlops("why", "flight_delay").exit_code == 0


@pytest.mark.parametrize("kind", ["syntax", "field", "conflict", "empty", "a folder"])
def test_status_names_a_model_whose_file_is_broken(
    home: Home, defs: Path, mlops: Callable[..., Result], kind: str
) -> None:
    file = defs / "arrival_delay" / "defs.yaml"
    sound = file.read_bytes()
    Platform.of(home).ledger.record.note("arrival_delay", Pause, reason="x", by="me")
    content = {
        "syntax": sound.replace(b"attributes:", b"attributes: [", 1),
        "field": sound.rstrip() + b"\n  colour: red\n",
        "conflict": b"<<<<<<< HEAD\n" + sound + b"=======\n>>>>>>> them\n",
        "empty": b"",
        "a folder": None,
    }[kind]
    file.unlink()
    if content is None:
        file.mkdir()
    else:
        file.write_bytes(content)
    (named,) = standing(home)["broken_models"].items()
    assert named[0] == "arrival_delay"
    assert str(file) in named[1]
    told = mlops("status")
    assert told.exit_code == 0
    assert "arrival_delay: not fine, its file is broken" in told.output
    assert re.sub(r"\s", "", str(file)) in re.sub(r"\s", "", told.output)
    assert "flight_delay: not fine, no champion yet" in told.output, "the others are told as ever"
    assert "Broken:" not in told.output
    (finding,) = [one for one in examine(home, ["arrival_delay"]) if "arrival_delay" in one.about]
    assert (finding.state, str(file) in finding.what) == ("broken", True)


def test_a_broken_source_is_no_model(home: Home, defs: Path) -> None:
    damage(defs, "syntax")
    assert standing(home)["broken_models"] == {}


def test_a_sound_source_is_read_once_for_whatever_is_asked(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """The record of what was taken in: finding damage and using it are one read."""
    read: list[str] = []
    entries = TakenRecord.entries
    monkeypatch.setattr(TakenRecord, "entries", lambda self: read.append(self.source) or entries(self))
    declared = Sources(lake=Platform.of(home).lake)
    for ask in (declared.good, declared.outlook, declared.whole, declared.damaged):
        read.clear()
        ask()
        assert sorted(read) == sorted(declared.settings())


def test_what_may_not_be_read_is_named(home: Home, defs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root reads what nobody may: the refusal is the test's own there."""
    file = defs / "planes" / "defs.yaml"

    def refuses(place: Path) -> None:
        (broken,) = Platform.of(home).broken_files()
        assert str(place) in broken.sentence
        assert "Let it be read, or remove it." in broken.sentence

    if os.geteuid() != 0:
        for place in (file, file.parent):
            place.chmod(0)
            try:
                refuses(place)
            finally:
                place.chmod(0o755)
        return
    read = Path.read_bytes

    def read_bytes(self: Path) -> bytes:
        if self == file:
            raise PermissionError(13, "Permission denied", str(self))
        return read(self)

    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    refuses(file)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the project, with what Python has compiled: a process that compiles all takes 2 s of CPU more."""
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    shutil.copytree(CHECKOUT / "mlops_assets", checkout / "mlops_assets")
    for part in ("dbt_project", "feature_repo"):
        shutil.copytree(CHECKOUT / part, checkout / part, ignore=shutil.ignore_patterns("logs", "__pycache__"))
    for name in ("pyproject.toml", "workspace.yaml"):
        shutil.copy(CHECKOUT / name, checkout / name)
    return checkout


def loaded(checkout: Path, home: Path) -> subprocess.CompletedProcess[str]:
    """The code location in a process of its own, which says what is in it."""
    code = (
        "from mlops_assets.definitions import defs\n"
        "import dagster as dg\n"
        "repo = defs().get_repository_def()\n"
        "print(sorted(key.to_user_string() for key in repo.assets_defs_by_key))\n"
        "print(sorted(s.name for s in repo.sensor_defs), sorted(repo.job_names))\n"
        "print({k.to_user_string(): a.owners_by_key[k] for k, a in repo.assets_defs_by_key.items() if a.owners_by_key})"
    )
    env = {**os.environ, "PYTHONPATH": str(checkout), "MLOPS_PROJECT": str(checkout), "MLOPS_HOME": str(home)}
    done = forked.run(code, place=checkout, environment=env)
    assert done.returncode == 0, done.stderr[-2_000:]
    return done


def test_the_code_location_loads_without_them(checkout: Path, tmp_path: Path) -> None:
    """Alone: a sound file in a folder of the same name elsewhere is loaded."""
    defs = checkout / "mlops_assets" / "defs"
    (defs / "elsewhere").mkdir()
    shutil.move(defs / "airports", defs / "elsewhere" / "planes")
    broken = {"syntax": "planes", "field": "airlines", "component": "weather"}
    sentences = [damage(defs, kind, name)[1] for kind, name in broken.items()]
    done = loaded(checkout, tmp_path / "home")
    for sentence in sentences:
        assert re.search(sentence, done.stderr), "it is said where the location is loaded"
    assert "raw/flights" in done.stdout
    for name in broken.values():
        assert f"'raw/{name}'" not in done.stdout
    assert "'raw/airports'" in done.stdout
    assert "landing_sensor" in done.stdout
    assert "card_fraud/champion" in done.stdout


def test_the_code_location_has_the_values_of_defaults_and_lives_on_where_they_are_broken(
    checkout: Path, tmp_path: Path
) -> None:
    defs = checkout / "mlops_assets" / "defs"
    for folder, names in {"fine": ["card_fraud"], "broken": ["arrival_delay", "airports"]}.items():
        (defs / folder).mkdir()
        for name in names:
            shutil.move(defs / name, defs / folder / name)
    own = defs / "fine" / "card_fraud" / "defs.yaml"
    own.write_text(re.sub(r"(?m)^  (owners|task):.*\n", "", own.read_text()), encoding="utf-8")
    (defs / "fine" / "defaults.yaml").write_text("task: binary\nowners: ['team:shared']\n", encoding="utf-8")
    (defs / "broken" / "defaults.yaml").write_text("metric: mae\ncolour: red\n", encoding="utf-8")
    done = loaded(checkout, tmp_path / "home")
    assert f"{defs}/broken/defaults.yaml:2: colour: there is no such field" in done.stderr
    assert "arrival_delay/champion" not in done.stdout
    assert "raw/airports" in done.stdout, "a source beside the model is no model"
    assert "'card_fraud/champion': ['team:shared']" in done.stdout


def test_doctor_and_status_name_defaults_and_the_models_below(home: Home, defs: Path) -> None:
    (defs / "defaults.yaml").write_text("owners: [x]\n\ncolour: red\n", encoding="utf-8")
    platform = Platform.of(home)
    (finding, _) = doctor._yaml(platform)
    assert (finding.state, finding.about) == ("broken", "arrival_delay, card_fraud, carrier_delay, flight_delay")
    assert f"{defs}/defaults.yaml:3: colour: there is no such field" in finding.what
    status = standing(home)
    assert status["broken_models"].keys() == {"arrival_delay", "card_fraud", "carrier_delay", "flight_delay"}
    assert status["sources"], "sources live on"
