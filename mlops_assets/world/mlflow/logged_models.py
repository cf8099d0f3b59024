"""The files of models in MLflow, logged under the run that made them, and what a kill leaves of them.

Here: writing and reading those files, and removing the ones that no version refers to. Not here: versions and aliases
(`registry`), what is in the folder (`model_folder`).

MLflow logs a model first and registers it then. Killed in between, a run leaves files that nothing shows or uses:
the same run goes on with them (`log_model`); of a run that has failed they are removed (`discard_unregistered`).
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from mlops_assets.world.mlflow.model_folder import model_file, write_folder

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient

    from mlops_assets.core.models.model import Model

SHA256 = "sha256"
"""Tag of a logged model, and of a version: hash of its model file."""


def log_model(
    client: MlflowClient, name: str, model: Model, *, run_id: str, signature_frame: pd.DataFrame | None
) -> tuple[str, str]:
    """Write MLflow's folder of the model and log it under the run, unless the run has done so already.

    Args:
        client: of the store.
        name: the registered model.
        model: what to keep.
        run_id: the MLflow run it was made in.
        signature_frame: rows with the model's columns, for the signature; None: no signature.

    Returns:
        The address of the folder, and MLflow's id of the logged model.
    """
    from mlflow.entities import LoggedModelOutput

    for known in _logged(client, run_id):
        if known.status == "READY" and known.name == name and known.tags.get(SHA256) == model.sha256:
            return known.artifact_location, known.model_id
    logged = client.create_logged_model(
        client.get_run(run_id).info.experiment_id,
        name=name,
        source_run_id=run_id,
        tags={SHA256: model.sha256},
        model_type=model.recipe.family,
    )
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "model"
        write_folder(folder, model, run_id=run_id, model_id=logged.model_id, signature_frame=signature_frame)
        client.log_model_artifacts(logged.model_id, str(folder))
    client.log_outputs(run_id, [LoggedModelOutput(model_id=logged.model_id, step=0)])
    # Last: what is ready is complete.
    client.finalize_logged_model(logged.model_id, "READY")
    return logged.artifact_location, logged.model_id


def discard_unregistered(client: MlflowClient, run_id: str) -> list[str]:
    """Remove the models that a run has logged and no version refers to, with their files; gives their ids.

    Only for runs that have ended: one at work may be about to register what it has logged.
    """
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    logged = _logged(client, run_id)
    if not logged:
        return []
    registered = {version.source for version in client.search_model_versions(f"run_id = '{run_id}'")}
    left = [model for model in logged if model.artifact_location not in registered]
    for model in left:
        # The files first: killed in between, the next call finds the model again.
        get_artifact_repository(model.artifact_location, tracking_uri=client.tracking_uri).delete_artifacts()
        client.delete_logged_model(model.model_id)
    return [model.model_id for model in left]


def read_model_file(source: str, family: str, tracking_uri: Callable[[], str]) -> bytes | None:
    """The bytes of the model file in a folder that was logged, None when it is not there.

    Args:
        source: the address of the folder.
        family: of the model, which names its file.
        tracking_uri: gives the store's address, by which MLflow finds files that a server keeps; asked for those
            alone, for it loads MLflow.
    """
    name, address = model_file(family), urlsplit(source)
    if address.scheme in ("", "file"):
        path = Path(url2pathname(address.path)) / name
        return path.read_bytes() if path.is_file() else None
    # Not before: a file of the home needs none of it.
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    repository = get_artifact_repository(source, tracking_uri=tracking_uri())
    # Asked first: a failed download looks alike whether the file or the network is gone.
    if name not in {entry.path for entry in repository.list_artifacts()}:
        return None
    with tempfile.TemporaryDirectory() as scratch:
        return Path(repository.download_artifacts(name, scratch)).read_bytes()


def _logged(client: MlflowClient, run_id: str) -> list[Any]:
    experiment = client.get_run(run_id).info.experiment_id
    return list(client.search_logged_models([experiment], f"source_run_id = '{run_id}'"))
