"""Whether a champion is worse than guessing, from its windows: judged, kept with the report, and read back.

Here: the baseline's scores of a version, the look at one window, all verdicts of a model, what reports show of them.
Not here: the verdict itself (`core.performance.against_baseline`), what is done about it (`fallback`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from mlops_assets.core.decide.policy import CheckResult
from mlops_assets.core.drift.grid import CategoryGrid
from mlops_assets.core.performance.against_baseline import (
    MOST_WINDOWS,
    Looked,
    compared,
    judged,
    numbers,
    unjudged,
)
from mlops_assets.core.performance.window_metrics import PerformanceRow
from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.stats.comparison import against_baseline
from mlops_assets.core.stats.intervals import CannotJudge
from mlops_assets.core.time.windows import Window
from mlops_assets.steps.predict.references import read_labels, score_matrix
from mlops_assets.steps.predict.scoring_versions import VERSION
from mlops_assets.steps.watch.windows.summaries import Guessing, GuessingSummary, folder_of, known_summary, verdicts_of
from mlops_assets.world.blocks import lasting_blocks_of
from mlops_assets.world.model_data import LABEL
from mlops_assets.world.platform import Platform

CHECK = "not_worse_than_guessing"


def guesses(platform: Platform, model: ModelSettings, version: int, n: int) -> np.ndarray:
    """What guessing says of n rows: the base rate, the mean or the class shares of a version's training labels.

    Returns:
        Shape (n,), or (n, k) of k classes.

    Raises:
        CannotJudge: the version was promoted before its labels were kept.
    """
    profile, mean = read_labels(platform.lake, model, version)
    if model.task != "multiclass":
        return against_baseline([mean], n, model.task)
    grid = profile.grid.features[LABEL]
    if not isinstance(grid, CategoryGrid):
        raise CannotJudge("the classes of the training labels are not known", "The next promotion keeps them")
    shares = dict(zip((int(float(code)) for code in grid.categories), profile.counts[LABEL], strict=False))
    seen = np.repeat(list(shares), list(shares.values()))
    classes = int(platform.registry.load(model.name, version).recipe.params["num_class"])
    return against_baseline(seen, n, model.task, n_classes=classes)


def looked(platform: Platform, model: ModelSettings, rows: pd.DataFrame, row: PerformanceRow, version: int) -> Guessing:
    """How a version did against guessing in a matured window, for the window's summary; nothing before it matures.

    Args:
        platform: the home.
        model: the monitored model.
        rows: the window's predictions, with the labels that are known.
        row: the window's performance.
        version: who made most of them; what others made is left out.
    """
    if not row.mature:
        return Guessing()
    try:
        mine = rows[(rows[VERSION] == version) & rows[LABEL].notna()].reset_index(drop=True)
        mine = platform.data(model).usual(mine)
        if mine.empty:
            raise CannotJudge("none of its rows has a label", "Nothing depends on it")
        y, scores = mine[LABEL].to_numpy(), score_matrix(mine)
        guess = guesses(platform, model, version, len(mine))
        comparison = compared(y, scores, guess, lasting_blocks_of(model, mine), model.metric)
    except CannotJudge as why:
        return Guessing(None, unjudged(row.window, row.start, row.end, version, why))
    earlier = _before(platform, model, row, version)
    verdict = judged(
        [*earlier, Looked(row.window, row.start, row.end, comparison)],
        version,
        min_rows=model.monitoring.performance.min_rows,
    )
    return Guessing(comparison, verdict)


def _before(platform: Platform, model: ModelSettings, row: PerformanceRow, version: int) -> list[Looked]:
    """The newest windows before it that this version was judged in, as many as may be judged with it, oldest first.

    Read one by one, the newest first: with windows of a day a year has hundreds.
    """
    looks: list[Looked] = []
    # They are called after their starts.
    folders = platform.lake.folder("reports", model.name, "performance").glob("window=*")
    own = folder_of(platform.lake, model.name, "performance", Window(row.start, row.end)).name
    for folder in sorted((folder for folder in folders if folder.name < own), reverse=True):
        known = known_summary(folder, GuessingSummary)
        verdict, comparison = (known.guessing.judged, known.guessing.compared) if known else (None, None)
        if verdict and verdict.version != version:
            break
        if verdict and comparison:
            looks.append(Looked(verdict.window, verdict.start, verdict.end, comparison))
        if len(looks) == MOST_WINDOWS - 1:
            break
    return looks[::-1]


def check_of(guessing: Guessing) -> list[CheckResult]:
    """The check of a window; none before it has matured."""
    verdict = guessing.judged
    if not verdict:
        return []
    return [
        CheckResult(
            name=CHECK,
            kind="failing",
            window=verdict.window,
            window_end=verdict.end,
            passed=None if verdict.worse is None else not verdict.worse,
            value=verdict.champion,
            limit=verdict.baseline,
            sentence=verdict.sentence,
        )
    ]


def guessing_markdown(windows: Sequence[Guessing]) -> str:
    """How each window's version did against guessing, the newest last."""
    verdicts = verdicts_of(windows)
    if not verdicts:
        return "No window has matured yet."
    lines = ["| window | version | against guessing | worse |", "| --- | --- | --- | --- |"]
    words = {True: "yes", False: "no", None: "cannot judge"}
    for verdict in verdicts:
        figures = numbers(verdict) if verdict.worse is not None else "–"
        lines.append(f"| {verdict.window} | {verdict.version} | {figures} | {words[verdict.worse]} |")
    return f"{verdicts[-1].sentence}\n\n" + "\n".join(lines)
