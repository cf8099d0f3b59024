"""What Dagster and MLflow show of a training and of the verdict on it.

Here: figures, tables and plots, as metadata of the materializations and in the run. Not here: the assets
(`training_assets`), the model card (`steps.promote`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dagster as dg

from mlops_assets.assets.metadata import markdown_value
from mlops_assets.core.settings import ModelSettings
from mlops_assets.world.mlflow.tracking import Tracking

if TYPE_CHECKING:
    from mlops_assets.core.models.model import Model
    from mlops_assets.core.models.training import Tuned
    from mlops_assets.core.promote.gate import RuleResult
    from mlops_assets.steps.promote.judging import Judged


def log_training(
    tracking: Tracking, context: dg.AssetExecutionContext, record: dict[str, Any], tuned: Tuned, trained: Model
) -> None:
    """Log a training to its MLflow run."""
    tracking.log_params(
        {
            **tuned.recipe.params,
            "rounds": tuned.recipe.rounds,
            "seed": tuned.recipe.seed,
            "family": tuned.recipe.family,
            "trials": len(tuned.trials),
            "window": record["window"],
            "training_set": record["training_set"],
            "code_version": record["code_version"],
            "dagster_run_id": context.run.run_id,
        }
    )
    tracking.log_metrics({"validation_score": tuned.validation_score, "training_rows": record["rows"]})
    tracking.log_curve(f"validation_{tuned.curve_metric}", _best_curve(tuned))
    tracking.log_dataset(
        "training_set", digest=record["training_set"], source=str(record["dataset"]), rows=record["rows"]
    )
    tracking.log_dict(tuned.trials.to_dict("records"), "trials.json")
    if record["families"]:
        tracking.log_dict(record["families"], "families.json")
    tracking.log_artifact(record["model_file"], "judged")


def _best_curve(tuned: Tuned) -> list[float]:
    return tuned.curve[tuned.curve["trial"] == tuned.best_trial]["value"].tolist()


def importance_table(trained: Model, top: int = 15) -> str:
    """The features with the largest share of the gain, as a table."""
    from mlops_assets.pages.markdown import markdown_table

    return markdown_table(list(trained.importance().items())[:top], header=["feature", "share"])


def importance_plot(trained: Model, top: int = 15) -> str:
    """The same as bars."""
    from mlops_assets.pages.svg import markdown_bars

    bars = [(name.split("__", 1)[-1], share) for name, share in list(trained.importance().items())[:top]]
    return markdown_bars(bars, limit=None, title="Importance: share of the total gain of all splits")


def families_metadata(record: dict[str, Any]) -> dict[str, Any]:
    """How each family did on the newest days of the training set, where there was a choice."""
    from mlops_assets.pages.markdown import markdown_table

    rows = [(trial["family"], trial["score"], str(trial["parts"]), trial["why_not"]) for trial in record["families"]]
    if not rows:
        return {}
    return {"families": markdown_value(markdown_table(rows, header=["family", "score", "by part", "why not"]))}


def verdict_metadata(model: ModelSettings, judged: Judged) -> dict[str, Any]:
    """The gate's verdict: its rules, and the gains that it rests on."""
    from mlops_assets.pages.markdown import markdown_table
    from mlops_assets.pages.svg import markdown_intervals

    verdict = judged.verdict
    # A list, which breaks its lines: a table of these names is wider than its place at 1,400 pixels, and is cut off.
    bullets = [
        f"- {'passed' if rule.passed else '**failed**'} *{rule.name}*{_numbers(rule)}: {rule.sentence}"
        for rule in verdict.rules
    ]
    metric = model.metric
    plot = markdown_intervals(judged.gains, title=f"Gain in {metric}, {model.gate.confidence:.0%} interval")
    return {
        "verdict": "promote" if verdict.promote else "reject",
        "reason": markdown_value(verdict.reason),
        "rules": markdown_value("\n".join(bullets)),
        **({"plot": markdown_value(plot)} if judged.gains else {}),
        "slices": markdown_value(
            markdown_table(
                judged.slice_rows,
                header=["slice", "rows", "champion", "challenger", "gain", "lower", "upper", "why not judged"],
                without_empty=True,
            )
        ),
        "version": judged.version,
        # Enough to know it by; whole ones stand on the card and the version's tags, and widen the page.
        "judged_model": judged.judged_sha256[:16],
        "shipped_model": judged.shipped_sha256[:16] if judged.shipped_sha256 else "none",
    }


def _numbers(rule: RuleResult) -> str:
    from mlops_assets.pages.markdown import figure

    return "" if rule.value is None else f" ({figure(rule.value)}, limit {figure(rule.limit)})"
