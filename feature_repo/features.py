"""Feast's entities and feature views, as dbt's YAML declares them: `feast apply` in this folder registers them."""

from mlops_assets.world.feast_views import registered

globals().update(registered())
