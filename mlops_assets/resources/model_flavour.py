"""The name that the MLmodel files of earlier versions have for `world.mlflow.model_flavour`; it must stay."""

from mlops_assets.world.mlflow.model_flavour import Predictor, _load_pyfunc

__all__ = ["Predictor", "_load_pyfunc"]
