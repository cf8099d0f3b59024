"""Feast's entities, sources and feature views, derived from the feature catalogue.

What lives here: the translation from the catalogue to Feast's objects. What does not: any feature; they are
named once, in dbt's YAML (`dbt_project/models/features/`). `feast apply` in this folder registers them.
"""

import glob
from datetime import timedelta

from feast import Entity, FeatureView, Field, FileSource, ValueType
from feast.types import Bool, FeastType, Float32, Float64, Int32, Int64, String

from mlops_assets.core.features.catalogue import FeatureView as CatalogueView
from mlops_assets.world.catalogue import load_catalogue
from mlops_assets.world.home import Home
from mlops_assets.world.project import PROJECT

FIELD_TYPES: dict[str, FeastType] = {
    "int64": Int64,
    "int32": Int32,
    "float64": Float64,
    "float32": Float32,
    "string": String,
    "bool": Bool,
}
KEY_TYPES = {"int64": ValueType.INT64, "int32": ValueType.INT32, "string": ValueType.STRING}

LAKE = Home.from_environment().lake
CATALOGUE = load_catalogue(PROJECT.dbt)


def feature_view(view: CatalogueView, entities: dict[str, Entity]) -> FeatureView:
    """Return Feast's feature view of a catalogue entry; its files are a glob into the lake."""
    return FeatureView(
        name=view.name,
        entities=[entities[key] for key in view.entities],
        # Keys are listed too, or Feast would open the files to learn their types.
        schema=[Field(name=key, dtype=FIELD_TYPES[dtype]) for key, dtype in view.entities.items()]
        + [
            Field(
                name=feature.name,
                dtype=FIELD_TYPES[feature.dtype],
                description=feature.description,
                tags={"kind": feature.kind, **({"retired": feature.retired} if feature.retired else {})},
            )
            for feature in view.features
        ],
        source=FileSource(
            name=view.name,
            path=f"{glob.escape(str(LAKE))}/{view.path_glob}",
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


ENTITIES = {
    key: Entity(name=key, join_keys=[key], value_type=KEY_TYPES[dtype]) for key, dtype in CATALOGUE.entities.items()
}
# Feast registers what it finds under a name of the module, and looks into no list.
globals().update({f"entity_{name}": entity for name, entity in ENTITIES.items()})
globals().update({view.name: feature_view(view, ENTITIES) for view in CATALOGUE.views})
