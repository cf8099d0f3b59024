"""Whether a champion is worse than guessing: held against its baseline on the same rows, window by window.

Here: the comparison of one window, several windows as one, the verdict on each, and since when a version has failed.
Not here: the baseline's scores (`comparison.against_baseline`), reading windows (`steps.watch.against_baseline`), what
is done about it (`core.decide.rules`, `steps.rollout.fallback`).

Guessing is what the baseline does: it knows only the labels that the champion was trained on, and says their base
rate, their mean or the shares of their classes for every row. Whoever is surely below that would answer better by
not looking at the row at all.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, Literal, Self
from zoneinfo import ZoneInfo

import numpy as np

from mlops_assets.core.record.plain_values import counted, metric_name
from mlops_assets.core.stats.intervals import MIN_BLOCKS, CannotJudge, block_sums, sums_interval
from mlops_assets.core.stats.metrics import metric

OnFailing = Literal["keep", "baseline", "previous", "refuse"]
"""What is done with a champion that is worse than guessing (`on_failing` in a model's YAML)."""
DOES = {
    "keep": "The champion goes on answering.",
    "previous": "The champion goes on answering until the version before it takes over, if that is any better.",
    "baseline": "Every answer is what guessing says, and is marked as such.",
    "refuse": "Nothing is answered: online requests get 503, and no batch prediction is written.",
}
"""What follows from each choice of `on_failing`."""
MOST_WINDOWS = 8
"""So many windows are judged as one at most: eight windows of a day have the eight days that an interval needs."""
CONSTANT = ("roc_auc",)
"""Metrics of which every constant score has the same value, whatever the labels: 0.5 by guessing."""


@dataclass(frozen=True)
class Compared:
    """Champion and baseline on the labelled rows of one window, with what is needed to judge several as one.

    Attributes:
        metric: its name.
        n: labelled rows.
        champion: the metric's value of the champion.
        baseline: that of guessing.
        gain: of the champion over guessing; negative means that the champion is worse, whatever the metric.
        blocks: the name of each block (its day), in order.
        sums: of the gain's influence values by block; they add up to zero.
        sizes: rows of each block.
    """

    metric: str
    n: int
    champion: float
    baseline: float
    gain: float
    blocks: tuple[str, ...]
    sums: tuple[float, ...]
    sizes: tuple[float, ...]


@dataclass(frozen=True)
class Looked:
    """A matured window of one version, and how the version did against guessing in it.

    Attributes:
        window: its label.
        start: its start, aware.
        end: its end, aware.
        compared: champion and baseline on its labelled rows.
    """

    window: str
    start: datetime
    end: datetime
    compared: Compared


@dataclass(frozen=True)
class Judged:
    """The verdict on one window of one version.

    Attributes:
        window: its label.
        start: its start, aware.
        end: its end, aware.
        version: whose scores were judged.
        worse: whether it is surely worse than guessing; None where that cannot be judged.
        sentence: what was found, with numbers; or why nothing could be judged.
        metric: its name.
        champion: the metric's value of the champion; None where it cannot be judged, like the numbers below.
        baseline: that of guessing.
        gain: of the champion over guessing.
        lower: bound of the gain.
        upper: bound of the gain; below zero it is surely worse.
        windows: how many were judged as one.
        rows_from: start of the first of them; None where nothing was judged.
    """

    window: str
    start: datetime
    end: datetime
    version: int
    worse: bool | None
    sentence: str
    metric: str = ""
    champion: float | None = None
    baseline: float | None = None
    gain: float | None = None
    lower: float | None = None
    upper: float | None = None
    windows: int = 0
    rows_from: datetime | None = None


@dataclass(frozen=True)
class Fallback:
    """What is done in place of a failing champion's answers.

    Attributes:
        mode: `baseline`: every answer is what guessing says; `refuse`: nothing is answered.
        reason: why, with numbers.
        guess: what guessing says: a score, or one for each class.
    """

    mode: Literal["baseline", "refuse"]
    reason: str
    guess: tuple[float, ...]

    def to_json(self) -> str:
        """As it stands on the version's tag."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The inverse of `to_json`."""
        data = json.loads(text)
        return cls(data["mode"], data["reason"], tuple(data["guess"]))


@dataclass(frozen=True)
class Failing:
    """A version that is worse than guessing.

    Attributes:
        version: which.
        since: start of the first window of the present run in which it was surely worse.
        newest: the verdict on the newest of them.
        first: label of the first window.
    """

    version: int
    since: datetime
    newest: Judged
    first: str

    def in_words(self, model: str, zone: ZoneInfo) -> str:
        """In one sentence, e.g. "flight_delay has been worse than guessing since 2024-08-01: ..."."""
        since = f"{self.since.astimezone(zone):%Y-%m-%d}"
        return f"{model} has been worse than guessing since {since}: {numbers(self.newest)}."


def compared(y: Any, scores: Any, guesses: Any, blocks: Any, metric_name: str) -> Compared:
    """Hold a champion against its baseline on the labelled rows of a window.

    The gain, and with `pooled` its interval, are those of `comparison.paired` on the same rows.

    Args:
        y: labels, shape (n,), all known.
        scores: of the champion, shape (n,) or (n, k).
        guesses: of the baseline (`comparison.against_baseline`), same shape.
        blocks: shape (n,), the block of each row; the same thing has the same name in all windows.
        metric_name: a name of the registry.

    Raises:
        CannotJudge: the metric is undefined on these rows.
    """
    judge = metric(metric_name)
    champion, psi_champion = judge.evaluate(y, scores)
    baseline, psi_baseline = judge.evaluate(y, guesses)
    direction = 1.0 if judge.greater_is_better else -1.0
    sums, sizes = block_sums(direction * (psi_champion - psi_baseline), blocks)
    return Compared(
        metric=judge.name,
        n=int(np.asarray(blocks).size),
        champion=champion,
        baseline=baseline,
        gain=judge.gain(baseline, champion),
        blocks=tuple(str(block) for block in np.unique(np.asarray(blocks))),
        sums=tuple(sums.tolist()),
        sizes=tuple(sizes.tolist()),
    )


def judged(windows: Sequence[Looked], version: int, *, min_rows: int = 200, confidence: float = 0.95) -> Judged:
    """The verdict on the newest of some windows, together with as many before it as an interval needs.

    Windows are judged as one by the mean of their gains, weighted by rows: a ROC AUC over the rows of several windows
    would also compare rows of different windows, which no single window does.

    Args:
        windows: matured windows of one version, oldest first, at least one.
        version: that version.
        min_rows: fewest labelled rows.
        confidence: two-sided.
    """
    newest, most = windows[-1], windows[-MOST_WINDOWS:]
    for count in range(1, len(most) + 1):
        parts = [window.compared for window in most[-count:]]
        rows, blocks = _size(parts)
        if rows < min_rows or blocks < MIN_BLOCKS:
            continue
        pooled = _pooled(parts, confidence)
        verdict = Judged(
            newest.window,
            newest.start,
            newest.end,
            version,
            pooled["upper"] < 0.0,
            "",
            newest.compared.metric,
            windows=count,
            rows_from=most[-count].start,
            **pooled,
        )
        word = "worse than" if verdict.worse else "not surely worse than" if pooled["lower"] <= 0.0 else "better than"
        together = f" and the {counted(count - 1, 'window')} before it" if count > 1 else ""
        sentence = f"Window {newest.window}{together}: version {version} is {word} guessing"
        return replace(verdict, sentence=f"{sentence}: {numbers(verdict, confidence)}.")
    rows, blocks = _size([window.compared for window in most])
    why = (
        f"there are {counted(rows, 'labelled row')} in {counted(blocks, 'block')} (days), and {min_rows:,} rows and "
        f"{MIN_BLOCKS} blocks are needed"
    )
    why_not = CannotJudge(why, "Wait for more windows of this version")
    return unjudged(newest.window, newest.start, newest.end, version, why_not)


def unjudged(label: str, start: datetime, end: datetime, version: int, why: CannotJudge) -> Judged:
    """A window that says nothing."""
    return Judged(label, start, end, version, None, f"Window {label}: version {version} against guessing: {why}.")


def _size(parts: Sequence[Compared]) -> tuple[int, int]:
    """Rows and blocks of some windows."""
    return sum(part.n for part in parts), len({block for part in parts for block in part.blocks})


def failing(verdicts: Sequence[Judged], version: int) -> Failing | None:
    """Whether a version is worse than guessing by its newest window, and since when; None where it is not.

    A window that cannot be judged neither begins, breaks nor ends a run: nothing is known of it.

    Args:
        verdicts: of matured windows, oldest first; those of other versions are left out.
        version: which.
    """
    run: list[Judged] = []
    for verdict in verdicts:
        if verdict.version == version and verdict.worse is not None:
            run = [*run, verdict] if verdict.worse else []
    return Failing(version, run[0].start, run[-1], run[0].window) if run else None


def numbers(verdict: Judged, confidence: float = 0.95) -> str:
    """The numbers of a verdict: what the champion reached, what guessing does, and the interval."""
    champion, baseline, gain = verdict.champion, verdict.baseline, verdict.gain
    lower, upper = verdict.lower, verdict.upper
    if champion is None or baseline is None or gain is None or lower is None or upper is None:
        return "cannot be judged"
    head = f"{metric_name(verdict.metric)} {_number(champion)}, {_number(baseline)} by guessing"
    level = f"{100 * confidence:g} % interval"
    if verdict.metric in CONSTANT:
        return f"{head} ({level} {_number(baseline + lower)} to {_number(baseline + upper)})"
    if gain < 0.0:
        return f"{head}: worse by {_number(-gain)} ({level} {_number(-upper)} to {_number(-lower)})"
    return f"{head}: better by {_number(gain)} ({level} {_number(lower)} to {_number(upper)})"


def _pooled(parts: Sequence[Compared], confidence: float) -> dict[str, float]:
    """Means over windows, weighted by rows; a block that several windows have is one block.

    Each window's sums are about its own gain, and are taken about the mean of all: of windows of a day nothing else is
    left of how days differ.
    """
    n = sum(part.n for part in parts)
    champion, baseline, gain = (
        sum(getattr(part, name) * part.n for part in parts) / n for name in ("champion", "baseline", "gain")
    )
    sums, sizes = dict[str, float](), dict[str, float]()
    for part in parts:
        for block, total, size in zip(part.blocks, part.sums, part.sizes, strict=True):
            sums[block] = sums.get(block, 0.0) + total + size * (part.gain - gain)
            sizes[block] = sizes.get(block, 0.0) + size
    span = sums_interval(gain, np.array(list(sums.values())), np.array(list(sizes.values())), confidence=confidence)
    return {"champion": champion, "baseline": baseline, "gain": gain, "lower": span.lower, "upper": span.upper}


def _number(value: float) -> str:
    """As people write it: 0.384, 0.5, 12.3, 1,204."""
    if abs(value) >= 1000.0:
        return f"{value:,.0f}"
    text = f"{value:.1f}" if abs(value) >= 100.0 else f"{value:.3f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
