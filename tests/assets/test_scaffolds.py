"""`dg scaffold defs` writes YAML that loads.

What lives here: the files, for the projects that there are. What does not: dg's own command
(`tests.end_to_end.test_wheel`).
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import click
import dagster as dg
import pytest
import yaml
from dagster.components.scaffold.scaffold import get_scaffolder

from mlops_assets import components
from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.settings_kinds import COMPONENTS
from mlops_assets.core.sources.settings import SourceSettings
from mlops_assets.onboarding.projects.new_project import make
from mlops_assets.world.declared_files import MODELS
from mlops_assets.world.settings_files import broken_files, read_settings
from tests.checkout import CHECKOUT

KINDS = sorted(COMPONENTS)


def scaffold(kind: str, path: Path, root: Path, *, append: bool = False, form: Any = "yaml", **params: Any) -> Path:
    """As `dg` does it: the folder is there when the scaffolder is called."""
    scaffolder: Any = get_scaffolder(getattr(components, kind))
    if not append:
        path.mkdir(parents=True)
    given = scaffolder.get_scaffold_params()(**params)
    scaffolder.scaffold(dg.ScaffoldRequest(f"mlops_assets.components.{kind}", path, form, root, given, append))
    return path if append else path / "defs.yaml"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The demo's project, to be written into; its dbt project is read as it is."""
    root = tmp_path / "checkout"
    (root / "mlops_assets").mkdir(parents=True)
    shutil.copytree(CHECKOUT / "mlops_assets" / "defs", root / "mlops_assets" / "defs")
    shutil.copy(CHECKOUT / "pyproject.toml", root)
    (root / "dbt_project").symlink_to(CHECKOUT / "dbt_project")
    return root


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_is_read(kind: str, checkout: Path) -> None:
    defs = checkout / "mlops_assets" / "defs"
    is_model = kind in MODELS
    file = scaffold(kind, defs / "New-one", checkout, **({"label": "lbl_flight_delay"} if is_model else {}))
    assert broken_files(defs) == []
    declared = read_settings(defs, ModelSettings if is_model else SourceSettings)
    assert type(declared["new_one"]) is COMPONENTS[kind]
    assert file.read_text().startswith(f"type: mlops_assets.components.{kind}\n")


def test_a_model_follows_its_label(checkout: Path) -> None:
    defs = checkout / "mlops_assets" / "defs"
    scaffold("MonitoredModel", defs / "late", checkout, label="lbl_flight_delay")
    late, example = (read_settings(defs, ModelSettings)[name] for name in ("late", "flight_delay"))
    assert late.label.column == example.label.column
    assert set(late.features) >= set(example.features)
    assert (late.task, late.timezone, late.start) == (example.task, example.timezone, example.start)


@pytest.mark.parametrize(
    ("kind", "name", "params", "told"),
    [
        ("MonitoredModel", "other", {}, "Say which label model it is about, with --label: .*lbl_flight_delay"),
        ("MonitoredModel", "other", {"label": "lbl_none"}, "Say which label model it is about"),
        ("MonitoredModel", "flight_delay", {"label": "lbl_flight_delay"}, "flight_delay is declared already"),
        ("LandingSource", "Flights", {}, "flights is declared already"),
        ("StreamSource", "1st", {}, "a letter first"),
        ("LandingSource", "a b", {}, "a letter first"),
        ("LandingSource", "new", {"form": "python"}, "leave out --format"),
    ],
)
def test_what_is_refused_leaves_nothing(
    kind: str, name: str, params: dict[str, Any], told: str, checkout: Path
) -> None:
    folder = checkout / "mlops_assets" / "defs" / "deeper" / name
    with pytest.raises(click.ClickException, match=told) as caught:
        scaffold(kind, folder, checkout, **params)
    assert str(caught.value).endswith("Nothing was written.")
    assert not folder.exists()


def test_a_project_without_a_label_model_is_told_of_new_model(tmp_path: Path) -> None:
    root = make("acme", tmp_path)
    with pytest.raises(click.ClickException, match=r"no label model yet.*mlops new-model"):
        scaffold("MonitoredModel", root / "acme" / "defs" / "churn", root)
    file = root / "pyproject.toml"
    file.write_text(file.read_text().replace("settings = 2", "settings = 1"))
    with pytest.raises(click.ClickException, match="Upgrade the project first: mlops upgrade"):
        scaffold("LandingSource", root / "acme" / "defs" / "orders", root)


def test_a_second_document_goes_to_the_end(checkout: Path) -> None:
    defs = checkout / "mlops_assets" / "defs"
    file = scaffold("LandingSource", defs / "orders", checkout)
    first = yaml.safe_load(file.read_text())
    file.write_text(file.read_text().replace("name: orders", "name: first") + "\n")
    scaffold("StreamSource", file, checkout, append=True)
    one, two = yaml.safe_load_all(file.read_text())
    assert one == first | {"attributes": first["attributes"] | {"name": "first"}}
    assert two["attributes"]["name"] == "orders"
    assert broken_files(defs) == []
