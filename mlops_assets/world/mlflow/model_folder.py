"""The folder that MLflow keeps of a model: our one file beside its own description (MLmodel, requirements, signature).

Here: writing it, so that `mlflow.pyfunc.load_model("models:/NAME@champion")` works with stock MLflow, and so does the
loader of the model's library. Not here: versions and aliases (`registry`), what loading calls (`model_flavour`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_assets.core.models.families import family_called, family_of, skops_file
from mlops_assets.core.values.libraries import installed

if TYPE_CHECKING:
    import pandas as pd

    from mlops_assets.core.models.matrix import FeatureColumn
    from mlops_assets.core.models.model import Model
    from mlops_assets.core.models.recipe import Recipe


def write_folder(
    folder: Path, model: Model, *, run_id: str, model_id: str, signature_frame: pd.DataFrame | None
) -> None:
    """Write the folder that MLflow keeps of a model.

    Args:
        folder: where; made here.
        model: what.
        run_id: the MLflow run it was made in.
        model_id: MLflow's logged model.
        signature_frame: rows with the model's columns, which tell codes from texts; None: no signature.
    """
    from mlflow.models import Model as Description

    kinds = {column.name: column.kind for column in model.recipe.columns}
    description = Description(run_id=run_id, model_id=model_id, metadata={"feature_kinds": kinds})
    savers: dict[str, Callable[..., None]] = {"ubj": _save_xgboost, "skops": _save_sklearn}
    savers[family_called(model.recipe.family).ending](
        model.fitted.native,
        str(folder),
        mlflow_model=description,
        signature=_signature(model, signature_frame) if signature_frame is not None else None,
        # Without them MLflow runs the model to find out: 10 s instead of 0.1 s.
        pip_requirements=_requirements(model.recipe),
    )
    # The very bytes that the hash is of, and a loader that takes texts as well as codes.
    file = model_file(model.recipe.family)
    (folder / file).write_bytes(model.to_bytes())
    described = description.flavors["python_function"]
    described["loader_module"], described["data"] = "mlops_assets.world.mlflow.model_flavour", file
    description.save(str(folder / "MLmodel"))


def _save_xgboost(booster: Any, folder: str, **described: Any) -> None:
    import mlflow.xgboost

    mlflow.xgboost.save_model(booster, folder, model_format="ubj", **described)


def _save_sklearn(pipeline: Any, folder: str, **described: Any) -> None:
    import mlflow.sklearn

    trusted = list(skops_file.TRUSTED)
    mlflow.sklearn.save_model(pipeline, folder, serialization_format="skops", skops_trusted_types=trusted, **described)


def model_file(family: str) -> str:
    """The name that MLflow gives the file of a model of this family."""
    return f"model.{family_called(family).ending}"


def _requirements(recipe: Recipe) -> list[str]:
    packages = ("mlops-assets", "numpy", "pandas", *family_of(recipe).libraries)
    return ["==".join(installed(package)) for package in packages]


def _signature(model: Model, frame: pd.DataFrame) -> Any:
    """Input and output types in MLflow's words, as the features' kinds say; every input may be missing in a row.

    MLflow checks a frame before the model sees it, and its types are narrower than the kinds: `long` and `boolean`
    refuse a column with gaps, `double` one of whole numbers, `string` codes that are numbers. All but texts are
    therefore `any` to it; what the model does not take, the model refuses by name.
    """
    import numpy as np
    import pandas as pd
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema, TensorSpec
    from mlflow.types.schema import AnyType

    def type_of(column: FeatureColumn) -> Any:
        is_text = column.kind == "categorical" and not pd.api.types.is_any_real_numeric_dtype(frame[column.name])
        return DataType.string if is_text else AnyType()

    inputs: list[ColSpec | TensorSpec] = [ColSpec(type_of(column), column.name) for column in model.recipe.columns]
    shape: Sequence[int] = (-1,)
    if model.recipe.task == "multiclass":
        shape = (-1, model.recipe.classes)
    return ModelSignature(inputs=Schema(inputs), outputs=Schema([TensorSpec(np.dtype(np.float32), tuple(shape))]))
