"""What stock `mlflow.pyfunc.load_model` calls to load a registered model.

Here: only that adapter, so that loading a model imports no orchestrator. Not here: the model (`core.models.model`),
the registry (`registry`). The name `_load_pyfunc` is MLflow's.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


class Predictor:
    """A model as MLflow's python_function: takes the features as they come from Feast, texts and all."""

    def __init__(self, path: str) -> None:
        from mlops_assets.core.models.model import Model

        self.model = Model.from_bytes(Path(path).read_bytes())

    def predict(self, frame: pd.DataFrame, params: dict[str, Any] | None = None) -> np.ndarray:
        """Score rows; see `core.models.model.Model.predict`. `params` is part of MLflow's call and unused."""
        return self.model.predict(frame)

    def get_raw_model(self) -> Any:
        """The library's own object inside: an `xgboost.Booster` or a scikit-learn pipeline."""
        return self.model.fitted.native


def _load_pyfunc(path: str) -> Predictor:
    return Predictor(path)
