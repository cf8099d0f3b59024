"""Feast's entities, sources and feature views, derived from the feature catalogue.

Here: the translation from the catalogue to Feast's objects. Not here: any feature; they are named once, in dbt's YAML
(`dbt_project/models/features/`). A project's `feature_repo/features.py` registers them: `feast apply` in that folder.
"""

from __future__ import annotations

import glob
from datetime import timedelta
from typing import TYPE_CHECKING

from mlops_assets.core.features.catalogue import FeatureView as CatalogueView
from mlops_assets.world.catalogue import load_catalogue
from mlops_assets.world.home import Home
from mlops_assets.world.project import PROJECT

if TYPE_CHECKING:
    from feast import Entity, FeatureView

FIELD_TYPES = {
    "int64": "Int64",
    "int32": "Int32",
    "float64": "Float64",
    "float32": "Float32",
    "string": "String",
    "bool": "Bool",
}
"""The catalogue's types, and Feast's (`feast.types`)."""


def feature_view(view: CatalogueView, entities: dict[str, Entity], lake: str) -> FeatureView:
    """Return Feast's feature view of a catalogue entry; its files are a glob into the lake."""
    from feast import FeatureView, Field, FileSource, types

    return FeatureView(
        name=view.name,
        entities=[entities[key] for key in view.entities],
        # Keys are listed too, or Feast would open the files to learn their types.
        schema=[Field(name=key, dtype=getattr(types, FIELD_TYPES[dtype])) for key, dtype in view.entities.items()]
        + [
            Field(
                name=feature.name,
                dtype=getattr(types, FIELD_TYPES[feature.dtype]),
                description=feature.description,
                tags={"kind": feature.kind, **({"retired": feature.retired} if feature.retired else {})},
            )
            for feature in view.features
        ],
        source=FileSource(
            name=view.name,
            path=f"{glob.escape(lake)}/{view.path_glob}",
            timestamp_field=view.timestamp,
            created_timestamp_column=view.created,
            description=view.description,
            owner=view.owner,
        ),
        ttl=timedelta(seconds=view.ttl.total_seconds()),
        online=view.online,
        description=view.description,
        owner=view.owner,
        tags=dict.fromkeys(view.tags, "true"),
    )


def registered() -> dict[str, Entity | FeatureView]:
    """All of the project's, by the names under which a module of Feast's repository shows them."""
    from feast import Entity, ValueType

    catalogue, lake = load_catalogue(PROJECT.dbt), str(Home.from_environment().lake)
    entities = {
        key: Entity(name=key, join_keys=[key], value_type=ValueType[dtype.upper()])
        for key, dtype in catalogue.entities.items()
    }
    # Feast registers what it finds under a name of the module, and looks into no list.
    views = {view.name: feature_view(view, entities, lake) for view in catalogue.views}
    return {f"entity_{name}": entity for name, entity in entities.items()} | views
