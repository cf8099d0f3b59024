"""What a replay's page and its table say in words and numbers.

Here: sentences, numbers, spans, and what became of a period. Not here: where they stand (`replay`, `replay_console`).
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from mlops_assets.core.record.plain_values import counted, metric_name
from mlops_assets.core.values.display import harmless, some
from mlops_assets.pages.replay_charts import MARKS

LIVES = ("auto", "static", "always", "newest")
COLUMNS = ("static", "auto", "always", "newest")
"""The same in the order of a table."""
CALENDARS = {
    "static": "never retrained",
    "always": "retrained every {every} on all history",
    "newest": "retrained every {every} on the newest {every} alone",
}
"""What the platform is held against: lives that only follow a calendar, or not even one."""
_SHORT = {"static": "never retrained", "always": "always", "newest": "newest"}
FEW = 0.5
"""A period with less than this part of the largest share of labels is named: what it says is worth less."""
_MOST = 5
"""Periods that a sentence names."""
_LONGEST = 160
"""Characters of a reason for which something is in quarantine."""
_UNLIKE = re.compile(r"'[^']*'|\"[^\"]*\"|`[^`]*`|[-+.,:/\d]*\d")
"""What differs between reasons of one kind."""
NOT_WORSE = "not_worse_than_guessing"
"""The check that fails while a champion is worse than guessing."""
NO_FIGURE = "–"
ACTIONS = {
    "retrain": "retrain",
    "wait": "wait",
    "revert": "went back",
    "propose_retrain": "proposed to retrain",
    "propose_revert": "proposed to go back",
    "quarantine": "quarantine",
    "cannot_judge": "cannot judge",
}


def headline(replay: Mapping[str, Any], details: Mapping[str, Any]) -> str:
    """The replay in a few words: what went badly first, then trainings and the mean of each life."""
    means = means_told(replay)
    bad = filter(None, (guessing_told(replay), worse_told(replay, details)))
    return " ".join([*bad, f"{trainings_told(replay)}; {means[0].lower()}{means[1:]}"])


def title(replay: Mapping[str, Any], details: Mapping[str, Any]) -> str:
    """The headline of the page: what went badly, else how often was trained."""
    bad = [sentence for sentence in (guessing_told(replay), worse_told(replay, details)) if sentence]
    return " ".join(bad) or f"{trainings_told(replay)}."


def guessing_told(replay: Mapping[str, Any]) -> str:
    """That the champion has been, or was, worse than guessing; empty where it never was."""
    periods, model = list(replay["periods"]), replay["model"]
    failed = [place for place, period in enumerate(periods) if (period.get("checks") or {}).get(NOT_WORSE) is False]
    if not failed:
        return ""
    last = failed[-1]
    is_left = any(p.get("promoted") or p["decision"] == "revert" for p in periods[last:])
    if is_left or any((p.get("checks") or {}).get(NOT_WORSE) for p in periods[last:]):
        judged = sum((p.get("checks") or {}).get(NOT_WORSE) is not None for p in periods)
        how_often = f"in {len(failed)} of {counted(judged, 'judged period')}, first in {_month(periods[failed[0]])}"
        return f"{model} was worse than guessing {how_often}{_unjudged_told(periods)}."
    since = last
    while since > 0 and (since - 1 in failed or (periods[since - 1].get("checks") or {}).get(NOT_WORSE) is None):
        since -= 1
    since = min(place for place in failed if place >= since)
    return f"{model} has been worse than guessing since {_month(periods[since])}."


def _unjudged_told(periods: Sequence[Mapping[str, Any]]) -> str:
    """How many periods had no answer, and for want of what."""
    unjudged = [p for p in periods if (p.get("checks") or {}).get(NOT_WORSE) is None]
    unlabelled = sum(not p.get("labelled_rows") for p in unjudged)
    counts = {"without labels": unlabelled, "that could not be judged": len(unjudged) - unlabelled}
    return "".join(f"; {counted(number, 'period')} {why}" for why, number in counts.items() if number)


def is_surely_ahead(life: str, details: Mapping[str, Any]) -> bool:
    """Whether a life was better than the platform's by more than chance: all of its interval is above zero."""
    return (details.get("gains") or {}).get(life, (0.0, 0.0))[0] > 0


def worse_told(replay: Mapping[str, Any], details: Mapping[str, Any]) -> str:
    """That a plain calendar would have done better than the platform, or about as well; empty where none would have."""
    summary = replay["summary"]
    return worse_than_best_told(
        {life: summary.get(life) for life in ("auto", *CALENDARS)},
        metric=replay["metric"],
        greater_is_better=bool(replay["greater_is_better"]),
        places=decimals(replay),
        every=rhythm(replay["periods"]),
        surely=[life for life in CALENDARS if is_surely_ahead(life, details)],
    )


def worse_than_best_told(
    means: Mapping[str, float | None],
    *,
    metric: str,
    greater_is_better: bool,
    places: int,
    every: str,
    surely: Collection[str],
) -> str:
    """That the platform did worse than the best of the other lives, or about as well; empty where none was ahead of it.

    Args:
        means: life -> mean of the metric, None where it is not known; `auto` is the platform.
        metric: its identifier.
        greater_is_better: of the metric.
        places: decimals that are shown; a smaller difference is one of rounding.
        every: how often the calendars train, `month`.
        surely: lives that are ahead of the platform by more than chance; only behind these it did worse.
    """
    auto = means.get("auto")
    others = {life: mean for life, mean in means.items() if life != "auto" and mean is not None}
    if auto is None or not others:
        return ""
    sure = {life: mean for life, mean in others.items() if life in surely}
    best = (max if greater_is_better else min)(sure or others, key=lambda life: others[life])
    behind = others[best] - auto if greater_is_better else auto - others[best]
    # A difference of one in the last place is 0.0009999... in binary.
    if behind < 10.0**-places * (1.0 - 1e-6):
        return ""
    values = f"{metric_name(metric)} {number_told(auto, places)} against {number_told(others[best], places)}"
    did = "worse than" if sure else "about as well as"
    chance = "" if sure else "; the difference may be chance"
    if best == "static":
        return f"The platform did {did} never retraining: {values}{chance}."
    how = CALENDARS.get(best, best).format(every=every)
    return f"The platform did {did} a plain calendar: {values} ({how}){chance}."


def not_judged_told(replay: Mapping[str, Any], *, details: Mapping[str, Any]) -> list[str]:
    """Which periods have no metric and why, and which have one that is worth less than it seems; a sentence each."""
    periods = list(replay["periods"])
    unjudged = [p for p in periods if p.get("not_judged")]
    judged = [p for p in periods if not p.get("not_judged")]
    out = []
    for alike in _alike(unjudged, lambda p: (p["not_judged"],)):
        labels, why = [p["label"] for p in alike], alike[0]["not_judged"]
        if len(labels) == 1:
            out.append(f"{labels[0]} was not judged, because {why}.")
        else:
            out.append(f"{len(labels)} periods were not judged ({some(labels, _MOST)}), the first because {why}.")
    if unjudged and judged:
        others = "period" if len(judged) == 1 else f"{len(judged)} periods"
        out.append(f"The means are over the other {others}.")
    shares = [p["labelled_rows"] / p["rows"] for p in judged if p.get("rows")]
    out += [
        f"{p['label']} was judged on {p['labelled_rows']:,} of its {p['rows']:,} rows: the others have no label."
        for p in judged
        if p.get("rows") and p["labelled_rows"] < FEW * max(shares) * p["rows"]
    ]
    return [*out, *_short_told(judged), *_constant_told(details)]


def _days(period: Mapping[str, Any]) -> int:
    return (datetime.fromisoformat(period["end"]) - datetime.fromisoformat(period["start"])).days


def _short_told(judged: Sequence[Mapping[str, Any]]) -> list[str]:
    """That periods which are cut off count as much as whole ones; empty where none is."""
    longest = max(map(_days, judged), default=0)
    short = [f"{p['label']} has {counted(_days(p), 'day')}" for p in judged if _days(p) < FEW * longest]
    if not short:
        return []
    return [f"Each period counts the same in the means, whatever its length: {some(short, _MOST)} of up to {longest}."]


def _constant_told(details: Mapping[str, Any]) -> list[str]:
    """Which lives had a model that says one thing of all rows, and when."""
    return [
        f"The life {_SHORT.get(life, 'of the platform')} said the same of every row in {some(labels, _MOST)}: its "
        "model found nothing to split on in the rows that it was trained on, and ranks nothing."
        for life, labels in (details.get("constant") or {}).items()
    ]


def set_aside_told(replay: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What is in quarantine: for each source and kind of reason a sentence, and the folder of the first partition."""
    out = []
    for alike in _alike(replay.get("quarantine") or (), lambda each: (each["source"], each["reason"])):
        first, count = alike[0], len(alike)
        what = counted(count, "file" if first["grain"] == "none" else first["grain"])
        when = (
            f"were set aside, the first {first['partition']}" if count > 1 else f"was set aside, {first['partition']}"
        )
        reason = textwrap.shorten(harmless(first["reason"]), _LONGEST, placeholder=" ...")
        out.append((f"{what} of {first['source']} {when}: {reason}", first["folder"]))
    return out


def _alike(
    entries: Iterable[Mapping[str, Any]], of: Callable[[Mapping[str, Any]], tuple[str, ...]]
) -> list[list[Mapping[str, Any]]]:
    """Groups of what is alike but for the numbers and quoted values in some of its texts, in order."""
    groups: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for each in entries:
        *rest, reason = of(each)
        groups.setdefault((*rest, _UNLIKE.sub("#", reason)), []).append(each)
    return list(groups.values())


def rhythm(periods: Sequence[Mapping[str, Any]]) -> str:
    """How long a period is, in a word: `day`, `week` or `month`, else `period`."""
    longest = max(map(_days, periods), default=0)
    return {1: "day", 7: "week"}.get(longest, "month" if 28 <= longest <= 31 else "period")


def _month(period: Mapping[str, Any]) -> str:
    start = datetime.fromisoformat(period["start"])
    return f"{start:%B %Y}"


def with_outcomes(replay: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The periods of a replay, each with its checks and what became of it (`outcome`).

    Raises:
        ValueError: there are none.
    """
    if not replay["periods"]:
        msg = "the replay has no periods: choose --start and --end so that at least one period has closed"
        raise ValueError(msg)
    return [{**p, "checks": p.get("checks") or {}, "outcome": _outcome(p)} for p in replay["periods"]]


def _outcome(period: Mapping[str, Any]) -> str:
    """What became of a decision: a key of `charts.MARKS`; empty for a wait."""
    if period.get("retrained"):
        return {True: "promoted", False: "rejected"}.get(period.get("promoted"), "retrained")  # type: ignore[arg-type]
    return period["decision"] if period["decision"] in MARKS else ""


def trainings_told(replay: Mapping[str, Any]) -> str:
    """How often was trained, beside a fixed plan."""
    summary = replay["summary"]
    always = summary.get("always_trainings")
    if always is None:
        return f"Retrained {times_told(summary['retrains'])}" if summary["retrains"] else "No retraining"
    if not summary["retrains"]:
        return f"Not retrained (a plain calendar would have retrained {times_told(always)})"
    did, would = times_told(summary["retrains"]), times_told(always)
    return f"Retrained {did} instead of {would.removesuffix(' times') if did.endswith(' times') else would}"


def means_told(replay: Mapping[str, Any]) -> str:
    """The mean of each life."""
    places, summary = decimals(replay), replay["summary"]
    lives = {"auto": f"Mean {metric_name(replay['metric'])}", **{n: w for n, w in _SHORT.items() if n in summary}}
    return (
        ", ".join(f"{name} {number_told(summary.get(life), places, 'not known')}" for life, name in lives.items()) + "."
    )


def best_life(period: Mapping[str, Any], greater_is_better: bool) -> str | None:
    """The life that was best in a period; None where all are equal or unknown."""
    values = {life: period[life] for life in LIVES if period.get(life) is not None}
    if len(set(values.values())) < 2:
        return None
    return (max if greater_is_better else min)(values, key=lambda life: values[life])


def decimals(replay: Mapping[str, Any]) -> int:
    """Decimal places that tell the lives apart without noise: 3 below 10, then fewer."""
    values = [abs(p[life]) for p in replay["periods"] for life in LIVES if p.get(life) is not None]
    largest = max(values, default=0.0)
    return 3 if largest < 10 else 2 if largest < 1000 else 0


def number_told(value: float | None, places: int, missing: str = NO_FIGURE) -> str:
    """A number with so many decimals."""
    return missing if value is None or value != value else f"{value:,.{places}f}"


def version_told(version: Any) -> str:
    """`v3`."""
    return NO_FIGURE if version is None else f"v{version}"


def times_told(number: int) -> str:
    """`once`, `twice`, `3 times`."""
    return {1: "once", 2: "twice"}.get(number, f"{number} times")


def span_told(periods: Sequence[Mapping[str, Any]]) -> str:
    """The days of a replay, and how many periods they are."""
    first = datetime.fromisoformat(periods[0]["start"])
    # Periods are half-open: the last day is the one before the end.
    last = datetime.fromisoformat(periods[-1]["end"]) - timedelta(microseconds=1)
    begin = f"{first.day} {first:%B}" + ("" if first.year == last.year else f" {first.year}")
    return f"{begin} to {last.day} {last:%B %Y}, {counted(len(periods), 'period')}"


def duration_told(seconds: float | None) -> str:
    """Minutes and seconds."""
    if seconds is None:
        return ""
    whole = round(seconds)
    return f"{whole // 60} min {whole % 60} s" if whole >= 60 else f"{seconds:.1f} s"


def members_told(replay: Mapping[str, Any]) -> str:
    """What became of the members of a fleet, in a sentence; empty without any."""
    members: Sequence[Mapping[str, Any]] = replay.get("members") or ()
    if not members:
        return ""
    own, watched = (sum(each["state"] == state for each in members) for state in ("own", "pooled"))
    trained = sum(each["trainings"] for each in members)
    return (
        f"Of {counted(len(members), 'member')} {own} left the pool for a better model of their own, {watched} are "
        f"watched by themselves and {len(members) - own - watched} as part of the pool; "
        f"{counted(trained, 'training')} in all."
    )
