"""Feast is loaded without what typeguard would add to its classes."""

from __future__ import annotations

import subprocess
import sys

from tests.checkout import CHECKOUT

LOADED = """
import typeguard
from mlops_assets.world.features import load_feast

decorator = typeguard.typechecked
load_feast()
load_feast()
from feast import Entity, FeatureService, FeatureView, OnDemandFeatureView

assert typeguard.typechecked is decorator
for kind in (Entity, FeatureService, FeatureView, OnDemandFeatureView):
    code = kind.__init__.__code__
    assert not [name for name in code.co_names + code.co_varnames if "check_argument_types" in name], kind
"""


def test_feasts_classes_are_as_they_are_written_and_typeguard_is_as_before() -> None:
    subprocess.run([sys.executable, "-c", LOADED], cwd=CHECKOUT, check=True)
