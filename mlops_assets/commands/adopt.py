"""`mlops adopt`: a model from elsewhere as the first champion.

Here: the command. Not here: how (`steps.promote.adoption`).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from mlops_assets.commands.console import By, ModelName, example, known_model, person, say
from mlops_assets.world.home import Home


def register(app: typer.Typer) -> None:
    """Add the command."""
    whole = "mlops adopt flight_delay --mlflow-uri models:/old_delay/3 --fitted-until 2013-05-01"
    app.command(epilog=example(whole, "mlops adopt flight_delay --mlflow-uri model.skops"))(adopt)


def adopt(
    model: ModelName,
    mlflow_uri: Annotated[
        str,
        typer.Option("--mlflow-uri", metavar="URI", help="models:/NAME/VERSION, runs:/ID/model, a folder, or a file."),
    ],
    fitted_until: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d"], metavar="DAY", help="It saw no label from then on (UTC).", show_default="it saw all"
        ),
    ] = None,
    reason: Annotated[str, typer.Option(help="Why: it stands on record with your name.")] = "it was in production",
    by: By = None,
) -> None:
    """Take an existing model (MLflow, XGBoost, or scikit-learn through skops) as the first champion.

    Its columns must be features of MODEL, by full or bare name, and numbers. Pickles are never opened.
    """
    known_model(model)
    from mlops_assets.steps.promote.adoption import adopt as take
    from mlops_assets.world.platform import Platform

    platform = Platform.of(Home.from_environment())
    settings = platform.models()[model]
    until = fitted_until.replace(tzinfo=UTC) if fitted_until else None
    adopted = take(platform, settings, mlflow_uri, by=by or person(), reason=reason, fitted_until=until)
    say(f"{adopted.version.uri} is champion: {settings.metric} {adopted.value:.4f} on {adopted.rows:,} newest rows.")
    if adopted.in_sample:
        say("It may have been fitted on these rows (--fitted-until says until when), so that value may flatter it.")
