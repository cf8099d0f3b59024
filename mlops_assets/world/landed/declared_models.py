"""The models that YAML declares, by name: one of each `MonitoredModel`, of each fleet the pooled one and its members.

Here: names, and the document behind each. Not here: what is in the documents (`world.settings_files`), which takes long
enough that commands which want names alone do without.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlops_assets.core.member_names import member_names
from mlops_assets.world.declared_files import FLEET, MODELS, BrokenFile, Document, read_files
from mlops_assets.world.home import Home
from mlops_assets.world.landed.fleet_values import BroughtValues, brought_values


@dataclass(frozen=True)
class DeclaredModel:
    """A name under which YAML declares a model.

    Attributes:
        name: of the model.
        document: that declares it.
        value: whose rows are its own, of a member.
    """

    name: str
    document: Document
    value: str | None = None


def models_in(documents: Iterable[Document], brought: Sequence[BroughtValues]) -> list[DeclaredModel]:
    """The models that these documents declare."""
    named = [document for document in documents if document.kind in MODELS and document.name]
    taken = [document.name for document in named]
    by_data = {each.fleet: each.values for each in brought}
    models = list[DeclaredModel]()
    for document in named:
        models.append(DeclaredModel(document.name, document))
        if document.kind == FLEET:
            values = _given(document) or by_data.get(document.name, ())
            names = member_names(document.name, values, taken=taken)
            models += [DeclaredModel(name, document, value) for value, name in names.items()]
    return models


def declared_models(folder: Path, home: Home) -> list[DeclaredModel]:
    """The models that the YAML under a folder declares, members of fleets as data have brought them to a home."""
    files = [file for file in read_files(folder) if not isinstance(file, BrokenFile)]
    return models_in([document for file in files for document in file], brought_values(home))


def _given(document: Document) -> list[str]:
    """The values that stand in the YAML of a fleet, as far as they can be values."""
    given = document.fields.get("values") if isinstance(document.fields, dict) else None
    return [str(value) for value in given if isinstance(value, str | int)] if isinstance(given, list) else []
