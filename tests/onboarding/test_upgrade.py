"""A project of an older library: what `mlops upgrade` says and changes, and what it never touches.

What lives here: projects as version 1 had them, built with the texts that it wrote. What does not: fields in a text
(`tests.core.test_settings_changes`).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import tomllib
from functools import partial
from pathlib import Path

import pytest

from mlops_assets.core.settings_changes import CHANGES, SETTINGS, Change
from mlops_assets.onboarding.projects import upgrade
from mlops_assets.onboarding.projects.new_project import TEMPLATES, files, make
from mlops_assets.onboarding.projects.upgrade import NEEDED, OPTIONAL, UpgradePart, apply, examine
from mlops_assets.world.project import OtherSettings, Project
from tests import forked
from tests.onboarding.tables import churn

MODEL = """# Ours.
type: mlops_assets.components.MonitoredModel
attributes:
  name: churn
  description: Whether a customer leaves.
  task: binary
  label: {model: lbl_churn, column: has_left}
  features: [feat_churn]
  metric: roc_auc
  start: 2024-01-01
  monitoring:
    window: week
    max_drop: 0.1 # the board's
    drift: {psi: 0.3, share: 0.25}
"""
TODAYS = MODEL.replace("max_drop: 0.1", "performance: {max_drop: 0.1}").replace("share: 0.25", "max_share: 0.25")


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A project as the library wrote it before settings had a version, with a model in the names of then."""
    root = make("acme", tmp_path)
    former = files("acme", "acme", templates=upgrade.FORMER / "1")
    (root / ".gitignore").write_text(former[Path(".gitignore")])
    declared = (root / "pyproject.toml").read_text()
    (root / "pyproject.toml").write_text(declared.split("[tool.mlops]")[0].rstrip() + "\n# The end.\n")
    (root / "acme" / "defs" / "churn").mkdir()
    (root / "acme" / "defs" / "churn" / "defs.yaml").write_text(MODEL)
    return root


def states(root: Path) -> dict[str, str]:
    return {part.path: part.state for part in examine(Project.find(root)).parts}


def everything(root: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def python(root: Path, code: str, *words: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MLOPS_", "DAGSTER_"))}
    return forked.run(code, *words, place=root, environment=kept | {"COLUMNS": "400"})


def mlops(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return python(root, "from mlops_assets.cli import app; app()", *words)


def test_a_new_project_needs_nothing(tmp_path: Path) -> None:
    root = make("acme-shop", tmp_path)
    assert set(states(root).values()) == {"good"}
    assert set(states(root)) == {*NEEDED, *OPTIONAL, "dbt_project/library", "pyproject.toml"}
    assert Project.find(root).settings == SETTINGS


def test_an_older_project_is_upgraded_and_loads(old: Path) -> None:
    before = everything(old)
    needs = {path: state for path, state in states(old).items() if state != "good"}
    assert needs == dict.fromkeys(["acme/defs/churn/defs.yaml", ".gitignore", "pyproject.toml"], "outdated")
    assert everything(old) == before

    project = Project.find(old)
    assert {part.path for part in apply(examine(project))} == set(needs)
    assert (old / "acme" / "defs" / "churn" / "defs.yaml").read_text() == TODAYS
    today = tomllib.loads((old / "pyproject.toml").read_text())
    assert today.pop("tool") == tomllib.loads(before[str(old / "pyproject.toml")].decode())["tool"] | {
        "mlops": {"settings": SETTINGS}
    }
    assert "# The end." in (old / "pyproject.toml").read_text()
    after = everything(old)
    assert {path for path in after if after[path] != before.get(path)} == {str(old / path) for path in needs}
    # A second time there is nothing to do.
    assert set(states(old).values()) == {"good"}
    assert apply(examine(Project.find(old))) == []


@pytest.mark.slow
@pytest.mark.process
def test_commands_say_what_is_outdated_before_and_read_it_after(tmp_path: Path) -> None:
    root = make("acme", tmp_path)
    churn(800, days=100).to_csv(tmp_path / "customers.csv", index=False)
    made = mlops(root, "new-model", "churn", "--from", str(tmp_path / "customers.csv"))
    assert made.returncode == 0, made.stderr
    file, load = root / "acme" / "defs" / "churn" / "defs.yaml", "from mlops_assets.definitions import defs; defs()"
    today = file.read_text()
    assert today.count("monitoring: {") == 1
    file.write_text(today.replace("monitoring: {", "monitoring: {max_drop: 0.1, drift: {share: 0.3}, "))
    declared = (root / "pyproject.toml").read_text()
    (root / "pyproject.toml").write_text(declared.replace(f"settings = {SETTINGS}", "settings = 1"))

    checked = mlops(root, "upgrade", "--check", "--diff")
    assert checked.returncode == 1, checked.stderr
    new = "monitoring: {performance: {max_drop: 0.1}, drift: {max_share: 0.3}, "
    assert f"+  {new}" in checked.stdout
    before = mlops(root, "status")
    assert before.returncode == 0, before.stderr
    assert re.search(r"churn/defs.yaml:\d+:16: attributes.monitoring.max_drop: it is called", before.stdout)
    assert "monitoring.performance.max_drop since settings 2. mlops upgrade changes it." in before.stdout
    refused = mlops(root, "new-model", "other", "--from", str(tmp_path / "customers.csv"))
    assert refused.returncode == 1
    assert "Upgrade the project first: mlops upgrade. Nothing was written." in refused.stderr
    ailing = json.loads(mlops(root, "doctor", "--json").stdout)
    assert {"about": "project", "state": "warning"}.items() <= ailing[0].items()
    assert "mlops upgrade --check" in ailing[0]["fix"]
    # One project's older model stops nothing else: what there is loads, and the rest is named.
    assert "Left out" in python(root, load).stderr

    assert mlops(root, "upgrade").returncode == 0
    assert mlops(root, "upgrade", "--check").returncode == 0
    assert file.read_text() == today.replace("monitoring: {", new)
    after = mlops(root, "status")
    assert "churn" in after.stdout
    assert "since settings" not in after.stdout
    loaded = python(root, load)
    assert (loaded.returncode, "Left out" in loaded.stderr) == (0, False), loaded.stderr


def test_what_its_owner_changed_or_removed_is_left_alone(old: Path) -> None:
    (old / ".github" / "workflows" / "ci.yml").unlink()
    (old / ".gitignore").write_text("mine\n")
    (old / "tests" / "test_project.py").write_bytes(b"\xff\xfe no text")
    (old / "feature_repo" / "features.py").unlink()
    (old / "feature_repo" / "features.py").symlink_to("../features.py")
    (old / "dbt_project" / "dbt_project.yml").open("a").write("\n# ours\n")
    (old / "dbt_project" / "library").unlink()
    (old / "dbt_project" / "library").mkdir()
    own = [".github/workflows/ci.yml", ".gitignore", "tests/test_project.py", "feature_repo/features.py"]
    own += ["dbt_project/dbt_project.yml", "dbt_project/library"]
    before = {path: (old / path).read_bytes() for path in own if (old / path).is_file()}
    found = examine(Project.find(old))
    assert [part.path for part in found.parts if part.state == "yours"] == sorted(
        own, key=[p.path for p in found.parts].index
    )
    (ignored,) = (part for part in found.parts if part.path == ".gitignore")
    assert "the library's has changed since" in ignored.sentence
    assert "-mine" in ignored.diff
    apply(found)
    assert {path: (old / path).read_bytes() for path in own if (old / path).is_file()} == before
    assert states(old)["pyproject.toml"] == "good"


def test_what_nothing_works_without_is_written_again(old: Path) -> None:
    for path in ("workspace.yaml", "dbt_project/dbt_project.yml", "dbt_project/library"):
        (old / path).unlink()
    apply(examine(Project.find(old)))
    assert set(states(old).values()) == {"good"}
    assert (old / "dbt_project" / "library" / "macros").is_dir()


@pytest.mark.parametrize("text", [b"name: [", b"\xff", b"- a list\n"])
def test_a_broken_dbt_project_is_said(old: Path, text: bytes) -> None:
    (old / "dbt_project" / "library").unlink()
    (old / "dbt_project" / "dbt_project.yml").write_bytes(text)
    found = states(old)
    assert found["dbt_project/dbt_project.yml"] == "yours"
    assert found["dbt_project/library"] == ("yours" if text.startswith(b"-") else "by hand")


def test_windows_lines_a_mark_and_a_link_stay(old: Path, tmp_path: Path) -> None:
    file, shared = old / "acme" / "defs" / "churn" / "defs.yaml", tmp_path / "shared.yaml"
    shared.write_bytes(b"\xef\xbb\xbf" + MODEL.replace("\n", "\r\n").encode())
    file.unlink()
    file.symlink_to(shared)
    (old / "workspace.yaml").write_bytes((old / "workspace.yaml").read_bytes().replace(b"\n", b"\r\n"))
    assert states(old)["workspace.yaml"] == "good"
    apply(examine(Project.find(old)))
    assert file.is_symlink()
    assert shared.read_bytes() == b"\xef\xbb\xbf" + TODAYS.replace("\n", "\r\n").encode()


def test_the_version_waits_for_what_a_person_must_change(old: Path) -> None:
    file = old / "acme" / "defs" / "churn" / "defs.yaml"
    file.write_text(MODEL + "  gate: {twin_tolerance: 0.5} # strict\n")
    (old / "acme" / "defs" / "broken").mkdir()
    (old / "acme" / "defs" / "broken" / "defs.yaml").write_text("type: [")
    apply(examine(Project.find(old)))
    assert file.read_text() == TODAYS + "  gate: {twin_tolerance: 0.5} # strict\n"
    left = examine(Project.find(old)).to_do
    assert [(part.path, part.state) for part in left] == [
        ("acme/defs/broken/defs.yaml", "by hand"),
        ("acme/defs/churn/defs.yaml", "by hand"),
        ("pyproject.toml", "by hand"),
    ]
    assert "defs.yaml:15:10: attributes.gate.twin_tolerance: twins agree by correlation" in left[1].sentence
    assert Project.find(old).settings == 1
    file.write_text(TODAYS)
    (old / "acme" / "defs" / "broken" / "defs.yaml").unlink()
    apply(examine(Project.find(old)))
    assert Project.find(old).settings == SETTINGS


def test_policies_to_try_are_brought_along(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    change = Change(2, "MonitoredModel", "gate.max_loss", "gate.non_inferiority_margin")
    for name in ("outdated_fields", "migrated"):
        monkeypatch.setattr(upgrade, name, partial(getattr(upgrade, name), changes=(*CHANGES, change)))
    (old / "tried").mkdir()
    for place in (old / "tried", old / ".hidden", old / "dbt_project"):
        place.mkdir(exist_ok=True)
        (place / "bold.yml").write_text("- name: bold # ours\n  gate: {max_loss: 0.1}\n")
    (old / "tried" / "other.yaml").write_text("gate: [1, 2\n")
    (old / "tried" / "strict.yaml").write_text("- name: strict\n  gate: {twin_tolerance: 1}\n")
    apply(examine(Project.find(old)))
    changed = "- name: bold # ours\n  gate: {non_inferiority_margin: 0.1}\n"
    assert (old / "tried" / "bold.yml").read_text() == changed
    assert (old / ".hidden" / "bold.yml").read_text() != changed
    assert (old / "dbt_project" / "bold.yml").read_text() != changed
    left = {part.path: part.sentence for part in examine(Project.find(old)).to_do}
    assert left.keys() == {"tried/strict.yaml", "pyproject.toml"}
    assert left["tried/strict.yaml"].startswith("tried/strict.yaml:2:10: gate.twin_tolerance: twins agree")


@pytest.mark.parametrize("written", [0, 1, 2])
def test_an_upgrade_that_was_stopped_goes_on(old: Path, written: int, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    def full(path: Path, content: bytes) -> None:
        if len(made) == written:
            raise OSError(28, "No space left on device")
        made.append(path)
        path.write_bytes(content)

    monkeypatch.setattr(upgrade, "write_bytes", full)
    with pytest.raises(OSError, match="No space"):
        apply(examine(Project.find(old)))
    assert Project.find(old).settings == 1, "until all else is written"
    monkeypatch.undo()
    apply(examine(Project.find(old)))
    assert set(states(old).values()) == {"good"}
    assert (old / "acme" / "defs" / "churn" / "defs.yaml").read_text() == TODAYS


@pytest.mark.parametrize(
    ("table", "state"),
    [
        ("[tool.mlops]\n", "outdated"),
        ("[tool.mlops] # ours\nother = 'settings = 1'\n\n[tool.ruff]\nsettings = 1\n", "outdated"),
        ("[tool.mlops]\nsettings = 1 # since May\n", "outdated"),
        ("[tool.mlops.more]\nx = 1\n", "outdated"),
        ("[tool]\nmlops = {settings = 1}\n", "by hand"),
        ('[tool.mlops]\n"settings" = 1\n', "by hand"),
        ("[tool]\nmlops.settings = 1\n", "by hand"),
    ],
)
def test_the_version_goes_into_any_pyproject(old: Path, table: str, state: str) -> None:
    file = old / "pyproject.toml"
    file.write_text(file.read_text() + table)
    before = tomllib.loads(file.read_text())
    assert states(old)["pyproject.toml"] == state
    apply(examine(Project.find(old)))
    if state == "outdated":
        before["tool"].setdefault("mlops", {})["settings"] = SETTINGS
        assert "# since May" in file.read_text() or "# since May" not in table
    assert tomllib.loads(file.read_text()) == before


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("99", "is 99, and the installed mlops-assets reads versions up to .*pip install --upgrade mlops-assets"),
        ("'2'", "is '2' and no version: write a whole number"),
        ("true", "is True and no version"),
        ("0", "is 0 and no version"),
        ("2.0", "is 2.0 and no version"),
    ],
)
def test_settings_of_a_newer_library_are_refused(tmp_path: Path, said: str, told: str) -> None:
    root = make("acme", tmp_path)
    file = root / "pyproject.toml"
    file.write_text(file.read_text().replace(f"settings = {SETTINGS}", f"settings = {said}"))
    with pytest.raises(OtherSettings, match=told):
        Project.find(root).require()
    with pytest.raises(OtherSettings):
        examine(Project.find(root))


@pytest.mark.parametrize(
    ("wanted", "state"),
    [
        ("mlops-assets~=0.0.9", "outdated"),
        ("mlops-assets>=0.1,<1", "good"),
        ("mlops-assets[stream, sql]~=0.0.9", "outdated"),
        ("mlops-assets==0.0.9", "by hand"),
        ("mlops_assets~=0.0.9", "by hand"),
        ("mlops-assets @ git+https://example.com/ours", "good"),
        ("other~=0.0.9", "good"),
    ],
)
def test_a_pin_that_the_installed_library_does_not_meet_is_said(tmp_path: Path, wanted: str, state: str) -> None:
    root = make("acme", tmp_path)
    file = root / "pyproject.toml"
    file.write_text(file.read_text().replace("mlops-assets~=0.1.0", wanted))
    assert states(root)["pyproject.toml"] == state
    apply(examine(Project.find(root)))
    kept = wanted.replace("0.0.9", "0.1.0") if state == "outdated" else wanted
    assert tomllib.loads(file.read_text())["project"]["dependencies"] == [kept]


def test_what_the_library_wrote_before_is_kept_to_be_known() -> None:
    """A project's file is rewritten only where it is what a library wrote: a text that changes goes into `former/`."""
    texts = (f"{path}\n{(TEMPLATES / f'{path}.j2').read_text()}" for path in (*NEEDED, *OPTIONAL))
    digest = hashlib.sha256("".join(texts).encode()).hexdigest()[:16]
    assert digest == "7a60f5a28075b7b8", (
        "put the text that was there into projects/former/<next number>/, then change this digest"
    )
    for folder in upgrade.FORMER.iterdir():
        for path, text in files("acme", "acme", templates=folder).items():
            assert path.as_posix() in (*NEEDED, *OPTIONAL), path
            assert text != files("acme", "acme")[path]


def test_a_part_without_a_text_has_no_difference() -> None:
    assert UpgradePart("dbt_project/library", "outdated", "it leads elsewhere").diff == ""
