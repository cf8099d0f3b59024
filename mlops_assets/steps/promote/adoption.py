"""A model from elsewhere as the first champion of a monitored model.

Here: fetching it, trying it on the newest rows, registering, its references, the promotion. Not here: what can be
adopted (`core.models.adoption`).

Whoever adopts says up to when the model has seen labels. Without that it counts as fitted on all that is known now: it
is judged on what comes after, and nothing before can speak for or against it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import yaml

from mlops_assets.core.models.adoption import CannotAdopt, adopted_booster, adopted_estimator
from mlops_assets.core.models.model import Model
from mlops_assets.core.record.entries import Promotion
from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.stats.intervals import CannotJudge
from mlops_assets.core.stats.metrics import metric
from mlops_assets.steps.predict.reference_files import keep_reference
from mlops_assets.steps.promote.gate import gate_rows
from mlops_assets.world.mlflow.registry import ModelVersion
from mlops_assets.world.mlflow.store import artifact_location
from mlops_assets.world.model_data import LABEL, ModelData
from mlops_assets.world.platform import FITTED_UNTIL, Platform

if TYPE_CHECKING:
    from mlflow import MlflowClient

BOOSTERS = (".ubj", ".json", ".xgb", ".model")
EXPERIMENT = "mlops"


@dataclass(frozen=True)
class Adopted:
    """What became of it.

    Attributes:
        version: the champion.
        value: its metric on the newest matured window.
        rows: of that window.
        in_sample: whether the model may have been fitted on them.
    """

    version: ModelVersion
    value: float
    rows: int
    in_sample: bool


def adopt(
    platform: Platform, model: ModelSettings, uri: str, *, by: str, reason: str, fitted_until: datetime | None = None
) -> Adopted:
    """Make a model from elsewhere the first champion.

    Args:
        platform: where.
        model: whose champion it becomes; it must have none.
        uri: MLflow's address of it (models:/, runs:/, or where its files are), or a file: XGBoost's or skops'.
        by: who says so.
        reason: why.
        fitted_until: it has seen no label that was known from then on; None: it may have seen all.

    Raises:
        CannotAdopt: there is a champion, the file is none of these kinds, or its columns or scores do not fit.
        CannotJudge: too little is known to say how good it is.
    """
    if (champion := platform.registry.champion(model.name)) is not None:
        raise CannotAdopt(
            f"{model.name} has a champion, version {champion.version}. A model from elsewhere can be the first only: "
            "let the platform train a challenger, or take a home of its own. Nothing was changed."
        )
    now = platform.now(model)
    data = platform.data(model)
    adopted = fetched(uri, data, platform)
    gate = data.gate_window(as_of=now, not_before=None)
    fitted = data.training_set(known_by=gate.start)
    rows = gate_rows(data, gate, as_of=now)
    try:
        scores = adopted.predict(rows)
        value = metric(model.metric).score(rows[LABEL].to_numpy(), scores)
    except CannotJudge:
        raise
    except Exception as error:  # code that somebody else wrote: whatever it raises is the answer
        raise CannotAdopt(
            f"It cannot score the rows of {gate.label(model.timezone)} ({error}). Missing values are NaN here: put an "
            "imputer into its pipeline. Nothing was changed."
        ) from error
    until = min(fitted_until or now, now)
    in_sample = until > gate.start
    origin = f"adopted from {uri}: {model.metric} {value:.4f} on {gate.label(model.timezone)}"
    decision = f"adopt-{adopted.sha256[:16]}"
    version = platform.registry.register(
        model.name,
        adopted,
        run_id=_run(platform, uri),
        signature_frame=rows.head(5),
        tags={
            "training_set": fitted.sha256, "refit_set": "", "judged_sha256": adopted.sha256, "verdict": "adopted",
            FITTED_UNTIL: until.isoformat(), "gate_window": f"{gate.start.isoformat()}/{gate.end.isoformat()}",
            "gate_value": value, "training_window": "expanding", "code_version": "adopted", "reason": origin,
            "libraries": json.dumps({}),
        },
    )  # fmt: skip
    keep_reference(platform, data, version.version, fitted=fitted, gate_rows=rows, scores=scores)
    platform.registry.promote(model.name, version.version, decision_id=decision, reason=origin, at=now)
    platform.ledger.record.note(
        model.name, Promotion, at=now, id=f"promotion-{decision}", decision=decision, version=version.version,
        previous=None, promised=None, fitted_until=until.isoformat(), reason=f"{origin}. {reason}", by=by,
    )  # fmt: skip
    return Adopted(version, value, len(rows), in_sample)


def fetched(uri: str, data: ModelData, platform: Platform) -> Model:
    """The model that a path or one of MLflow's addresses means.

    Raises:
        CannotAdopt: it is not there, or of no kind that can be read without running its code.
    """
    if Path(uri).expanduser().exists():
        return _read(Path(uri).expanduser(), data)
    import mlflow
    from mlflow.exceptions import MlflowException

    client = platform.registry.client
    with TemporaryDirectory() as folder:
        try:
            where = mlflow.artifacts.download_artifacts(
                artifact_uri=_located(uri, client), dst_path=folder, tracking_uri=client.tracking_uri
            )
        except (MlflowException, OSError) as error:
            raise CannotAdopt(
                f"{uri} cannot be fetched ({error}). Give a file, or an address that MLflow knows, such as "
                "models:/churn/3; MLFLOW_TRACKING_URI says which MLflow."
            ) from error
        return _read(Path(where), data)


def _located(uri: str, client: MlflowClient) -> str:
    """Where a registered version's files are, by this registry.

    MLflow itself asks the registry of its process for `models:/` addresses (3.17), whatever it is told, and makes an
    empty one in the working directory.
    """
    match = re.fullmatch(r"models:/([^/@]+)(?:/(\d+)|@([^/@]+))", uri)
    if match is None:
        return uri
    name, number, alias = match.groups()
    version = number or client.get_model_version_by_alias(name, alias).version
    return str(client.get_model_version_download_uri(name, str(version)))


def _read(place: Path, data: ModelData) -> Model:
    """A file, or a model's folder as MLflow writes it."""
    file = _file_in(place) if place.is_dir() else place
    task, columns = data.model.task, data.columns
    if file.suffix in BOOSTERS:
        import xgboost

        try:
            return adopted_booster(xgboost.Booster(model_file=str(file)), columns, task)
        except xgboost.core.XGBoostError as error:
            raise CannotAdopt(
                f"{file.name} is no XGBoost model ({str(error).splitlines()[0]}). Save it anew."
            ) from error
    if file.suffix == ".skops":
        return adopted_estimator(_estimator(file), columns, task)
    raise CannotAdopt(
        f"{file.name} is neither XGBoost's ({', '.join(BOOSTERS)}) nor skops'. A pickle can run code and is never "
        "opened: save the model with skops.io.dump(model, 'model.skops'), or Booster.save_model('model.ubj')."
    )


def _file_in(folder: Path) -> Path:
    """The one file that a folder of MLflow's is about."""
    about = folder / "MLmodel"
    if not about.exists():
        raise CannotAdopt(f"{folder} has no MLmodel: give a model's own folder, or its file.")
    flavors: dict[str, Any] = yaml.safe_load(about.read_text(encoding="utf-8")).get("flavors", {})
    for name, field in (("xgboost", "data"), ("sklearn", "pickled_model"), ("python_function", "data")):
        if field in flavors.get(name, {}):
            return folder / str(flavors[name][field])
    raise CannotAdopt(f"{folder} has the flavors {', '.join(flavors)}; XGBoost's or scikit-learn's (skops) is needed.")


def _estimator(file: Path) -> Any:
    import skops.io
    from skops.io.exceptions import UntrustedTypesFoundException

    from mlops_assets.core.models.families.skops_file import TRUSTED

    try:
        return skops.io.load(file, trusted=list(TRUSTED))
    except UntrustedTypesFoundException as error:
        raise CannotAdopt(
            f"{file.name} holds types that could run code ({error}). Use scikit-learn's own estimators."
        ) from error


def _run(platform: Platform, uri: str) -> str:
    """A finished MLflow run for the version to belong to."""
    client = platform.registry.client
    known = client.get_experiment_by_name(EXPERIMENT)
    if known is None:
        place = artifact_location(platform.home, client.tracking_uri, EXPERIMENT)
        experiment = client.create_experiment(EXPERIMENT, artifact_location=place)
    else:
        experiment = known.experiment_id
    run = client.create_run(experiment, run_name="adopt", tags={"adopted_from": uri})
    client.set_terminated(run.info.run_id)
    return str(run.info.run_id)
