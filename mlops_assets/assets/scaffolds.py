"""What `dg scaffold defs mlops_assets.components.<type> <name>` writes: a defs.yaml that loads, with what to change.

Here: the texts, and what of them is guessed from the project. Not here: the fields (`core.settings`), a model out of a
table (`mlops new-model`, which looks at the data).
"""

import json
import re
import textwrap
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Generic, TypeVar

import dagster as dg
from pydantic import BaseModel, Field

from mlops_assets.core.features.catalogue import Catalogue, LabelModel
from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.sources.settings import SourceSettings
from mlops_assets.world.atomic import write_text
from mlops_assets.world.catalogue import DbtParseError, load_catalogue
from mlops_assets.world.declared_files import MODELS
from mlops_assets.world.project import Project
from mlops_assets.world.settings_files import read_settings


class NoParams(BaseModel):
    """Nothing is asked."""


class LabelParams(BaseModel):
    """What a model is about."""

    label: str | None = Field(default=None, description="The dbt label model, where the project has several.")


Params = TypeVar("Params", bound=BaseModel)


class _Yaml(dg.Scaffolder[Params], Generic[Params]):
    """Writes one document of settings."""

    @abstractmethod
    def attributes(self, name: str, project: Project, params: Params) -> str:
        """The lines under `attributes`."""

    def scaffold(self, request: dg.ScaffoldRequest[Params]) -> None:
        """Write the file, or the document at its end; what is refused leaves nothing, and dg says it in a line."""
        path = request.target_path if request.append else request.target_path / "defs.yaml"
        with _as_dg_says(path.parent):
            project = Project.find((request.project_root or path.parent).resolve())
            project.require()
            project.require_current()
            if request.scaffold_format != "yaml":
                raise ValueError("Sources and models are declared in YAML: leave out --format. Nothing was written.")
            name = _free_name(path.parent.name, request.type_name.rsplit(".", 1)[-1], project)
            lines = textwrap.indent(self.attributes(name, project, request.params).strip("\n"), "  ")
            text = f"type: {request.type_name}\nattributes:\n{lines}\n"
            there = path.read_text(encoding="utf-8").rstrip("\n") if request.append else ""
            write_text(path, f"{there}\n---\n{text}" if there else text)


class SourceYaml(_Yaml[NoParams]):
    """Of a `LandingSource`."""

    @classmethod
    def get_scaffold_params(cls) -> type[NoParams]:
        """Nothing is asked."""
        return NoParams

    def attributes(self, name: str, project: Project, params: NoParams) -> str:
        """See `_Yaml`."""
        return _SOURCE.format(name=name, today=_today(), more=f"# Its files: {name}_{_today()}.csv and so on.")


class StreamYaml(SourceYaml):
    """Of a `StreamSource`."""

    def attributes(self, name: str, project: Project, params: NoParams) -> str:
        """See `_Yaml`."""
        return _SOURCE.format(name=name, today=_today(), more=f"stream: {{topic: {name}}} # docs/streams.md")


class ModelYaml(_Yaml[LabelParams]):
    """Of a `MonitoredModel`."""

    @classmethod
    def get_scaffold_params(cls) -> type[LabelParams]:
        """Which label model it is about."""
        return LabelParams

    def attributes(self, name: str, project: Project, params: LabelParams) -> str:
        """See `_Yaml`.

        Raises:
            ValueError: the project has no such label model, several, or no feature view with its keys.
        """
        catalogue = load_catalogue(project.dbt)
        label = _label(catalogue, params.label or f"lbl_{name}", is_asked=params.label is not None)
        views = [view.name for view in catalogue.views if view.entities.keys() <= label.entities.keys()]
        if not views:
            raise ValueError(
                f"No feature view is joined by the keys of {label.name} ({', '.join(label.entities)}). Write one "
                "(docs/analytics-engineers.md), or: mlops new-model. Nothing was written."
            )
        declared = read_settings(project.defs, SourceSettings)
        read = [declared[name] for name in label.sources if name in declared and declared[name].start is not None]
        task, metric = ("regression", "rmse") if label.label_dtype.startswith("float") else ("binary", "roc_auc")
        return _MODEL.format(
            name=name,
            label=label.name,
            column=_plain(label.label),
            views=", ".join(views),
            task=task,
            metric=metric,
            start=max((source.start_date.isoformat() for source in read), default=_today()),
            grain="".join(f"grain: {source.grain}\n" for source in read[:1] if source.grain != "day"),
            timezone="".join(f"timezone: {source.timezone}\n" for source in read[:1] if source.timezone != "UTC"),
        )


class FleetYaml(ModelYaml):
    """Of a `MonitoredFleet`."""

    def attributes(self, name: str, project: Project, params: LabelParams) -> str:
        """See `ModelYaml`.

        Raises:
            ValueError: as there; or the label model has no column beside its keys and its label.
        """
        text = super().attributes(name, project, params)
        catalogue = load_catalogue(project.dbt)
        label = _label(catalogue, params.label or f"lbl_{name}", is_asked=params.label is not None)
        if not label.columns:
            raise ValueError(
                f"{label.name} has no column beside its keys and its label, so that nothing says which member a row "
                "belongs to. Add one to the dbt model. Nothing was written."
            )
        per = f"# Each value of this column has a model of its own.\nper: {_plain(next(iter(label.columns)))}"
        return text.replace(f"name: {name}\n", f"name: {name}\n{per}\n", 1)


_SOURCE = """
# Fields: docs/sources.md. What stands here is a guess.
name: {name}
description: One row per event of {name}.
event_time: event_timestamp
start: {today}
{more}
contract:
  # Each column of the files, with its type and limits; others are refused.
  columns:
    event_timestamp: {{type: timestamp}}
"""
_MODEL = """
# Fields: docs/models.md. What stands here is a guess.
name: {name}
description: What the label will be.
task: {task}
label: {{model: {label}, column: {column}}}
features: [{views}]
metric: {metric}
{grain}{timezone}start: {start}
"""


def _label(catalogue: Catalogue, name: str, *, is_asked: bool) -> LabelModel:
    """The label model of this name; without being asked for one, the only one that there is."""
    named = [label for label in catalogue.labels if label.name == name]
    if candidates := named or (list(catalogue.labels) if len(catalogue.labels) == 1 and not is_asked else []):
        return candidates[0]
    if catalogue.labels:
        known = ", ".join(label.name for label in catalogue.labels)
        raise ValueError(f"Say which label model it is about, with --label: {known}. Nothing was written.")
    raise ValueError(
        "The project has no label model yet. Write one (docs/analytics-engineers.md), or let mlops new-model make all "
        "of a model from a table. Nothing was written."
    )


def _free_name(folder: str, kind: str, project: Project) -> str:
    """The name of a source or model out of that of its folder."""
    name = folder.lower().replace("-", "_")
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,99}", name):
        raise ValueError(
            f"Nothing can be called {name!r}: name the folder with letters, digits, - and _, a letter first. Nothing "
            "was written."
        )
    of_models, of_sources = read_settings(project.defs, ModelSettings), read_settings(project.defs, SourceSettings)
    if name in (of_models if kind in MODELS else of_sources):
        raise ValueError(f"{name} is declared already. Choose another name. Nothing was written.")
    return name


def _plain(text: str) -> str:
    """A text as YAML has it, also between braces."""
    return text if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", text) else json.dumps(text, ensure_ascii=False)


def _today() -> str:
    return datetime.now(UTC).date().isoformat()


@contextmanager
def _as_dg_says(folder: Path) -> Iterator[None]:
    """Say what is refused without a traceback, and take back the folder that dg has made for it."""
    import click

    try:
        yield
    except (ValueError, DbtParseError) as error:
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
        raise click.ClickException(str(error)) from error
