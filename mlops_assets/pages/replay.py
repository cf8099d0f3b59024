"""The page of a replay: what was lived, what was decided, and why.

Here: `replay.json` as values in, a page out. Not here: running or measuring a replay (`simulate.replay`), its words
(`replay_wording`), its drawings (`replay_charts`) and tables by period (`replay_tables`), the table of a terminal
(`replay_console`), where the page is written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from mlops_assets.core.record.plain_values import counted, metric_name
from mlops_assets.pages.palette import DARK, FONT, LIGHT
from mlops_assets.pages.rendering import template
from mlops_assets.pages.replay_charts import MARKS, lives_chart, ticks, volume_chart
from mlops_assets.pages.replay_tables import (
    MEMBER_HEADS,
    check_rows,
    drift_windows,
    heat_rows,
    member_rows,
    window_ticks,
)
from mlops_assets.pages.replay_wording import (
    ACTIONS,
    COLUMNS,
    LIVES,
    NO_FIGURE,
    decimals,
    duration_told,
    is_surely_ahead,
    means_told,
    members_told,
    not_judged_told,
    number_told,
    set_aside_told,
    span_told,
    title,
    trainings_told,
    version_told,
    with_outcomes,
)

_TOP_FEATURES = 20
"""Features shown at once in the heat map; the rest is folded away."""
_LONG = 16
"""More periods than this: cells lose their numbers, and waits in a row for the same cause are told as one."""
_LABEL_WORDS = {
    "binary": ("Label rate (share of positives)", "label rate"),
    "multiclass": ("Share of the most frequent class", "largest class"),
}
_EVERY = {"day": "day", "week": "week", "month": "month"}


def render(replay: Mapping[str, Any], *, details: Mapping[str, Any]) -> str:
    """The replay as one HTML page that needs neither network nor script.

    Args:
        replay: the content of `replay.json`: `model`, `metric`, `task`, `greater_is_better`, `periods` (each
            with `start`, `end` (ISO, half-open), `label`, `rows`, `labelled_rows`, `label_mean` (of classes the share
            of the most frequent one), the metric
            of the lives `static`, `auto`, `always` and `newest`, `checks` name -> passed, `decision`, `rule`,
            `reason`, `retrained`, `promoted`, `champion_version` (the version that scored the period),
            `verdict_reason`, `not_judged`), `summary`, `quarantine` (`source`, `grain`, `partition`, `reason`,
            `folder`), and optionally `changes` (see `changes.when_noticed`) and
            `members` (see `members.members_lived`). None stands for what is not
            known, e.g. the metric of a period without labels.
        details: what the page tells besides, all optional: `drift` (a list of `period`, `feature`, `psi`;
            `period` is a period's label, or a monitoring window's where those are others), `versions` and
            `settings` (name -> value), `gains` (life -> an interval of how much better it was than the platform on
            average), `constant` (life -> periods of which it said one thing of all rows), `notes` (sentences), `home`
            (the replay's home, as seen from the page's folder).

    Returns:
        The page. All texts are escaped.

    Raises:
        ValueError: there are no periods.
    """
    periods = with_outcomes(replay)
    metric, places = metric_name(replay["metric"]), decimals(replay)
    better = "higher is better" if replay["greater_is_better"] else "lower is better"
    label, label_heading = _LABEL_WORDS.get(str(replay.get("task")), ("Mean of the label", "label mean"))
    as_share = replay.get("task") in _LABEL_WORDS
    drift = list(details.get("drift") or ())
    windows = drift_windows(periods, drift)
    every = _EVERY.get(str(_mapping(details.get("settings")).get("every")), "period")
    page: str = template("replay.html.j2").render(
        model=replay["model"],
        span=span_told(periods),
        headline=title(replay, details),
        sentences=[*_trainings(replay, details), means_told(replay), *_sentences(replay, details, every)],
        metric=metric,
        better=better,
        lives=_lives(replay, places, every),
        lives_chart=_safe(lives_chart(periods, metric=f"{metric}, {better}", places=places)),
        marks=_marks_shown(periods),
        volume_chart=_safe(volume_chart(periods, label=label, as_share=as_share)),
        left_out=[
            *((sentence, "") for sentence in not_judged_told(replay, details=details)),
            *_linked(set_aside_told(replay), details),
        ],
        changes=_changes(replay.get("changes") or ()),
        members=member_rows(replay),
        member_heads=MEMBER_HEADS,
        members_told=members_told(replay),
        decisions=_decisions(periods),
        ticks=ticks(periods),
        long=len(periods) > _LONG,
        most=_LONG,
        heat=heat_rows(windows, drift),
        heat_ticks=window_ticks(windows, periods),
        heat_top=_TOP_FEATURES,
        checks=check_rows(periods),
        rows=[_number_row(p, places, as_share) for p in periods],
        label_heading=label_heading,
        every=every,
        notes=_texts(details.get("notes")),
        facts=[(name, _pairs(details.get(key))) for name, key in (("Settings", "settings"), ("Versions", "versions"))],
        seconds=duration_told(replay["summary"].get("seconds")),
        light=LIGHT,
        dark=DARK,
        font=_safe(FONT),
    )
    return page


def _trainings(replay: Mapping[str, Any], details: Mapping[str, Any]) -> list[str]:
    """How often was trained, unless that is the headline already."""
    sentence = f"{trainings_told(replay)}."
    return [] if sentence == title(replay, details) else [sentence]


def _changes(changes: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """What was done to the data, and what came of it, as cells."""
    return [
        [
            change["story"],
            change["first"],
            change["last"] or "stays",
            change["found"] or "never",
            f"{change['days']} days" if change["days"] is not None else NO_FIGURE,
            change["promoted"] or NO_FIGURE,
            ", ".join(name.replace("_", " ") for name in change["checks"]) or NO_FIGURE,
        ]
        for change in changes
    ]


def _linked(sentences: Sequence[tuple[str, str]], details: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Sentences, each with the address of a folder of the replay's home, as seen from the page."""
    home = details.get("home")
    return [(sentence, f"{home}/{folder}/" if home else "") for sentence, folder in sentences]


def _safe(markup: str) -> Any:
    """Text of our own making that must not be escaped again."""
    from markupsafe import Markup

    return Markup(markup)


def _sentences(replay: Mapping[str, Any], details: Mapping[str, Any], every: str) -> list[str]:
    """What the numbers say, in plain words, also when they don't flatter."""
    summary = replay["summary"]
    out = []
    if summary["retrains"]:
        promoted, rejected = summary["promotions"], summary["rejections"]
        out.append(f"The gate promoted {counted(promoted, 'challenger')} and rejected {rejected}.")
    else:
        out.append("Nothing asked for a retraining, so the platform kept its first champion.")
    static, auto, always = (summary.get(life) for life in ("static", "auto", "always"))
    if static is None or auto is None or always is None:
        return [*out, "Not every life could be measured: there were too few labels."]
    sign = 1 if replay["greater_is_better"] else -1
    gained, possible = sign * (auto - static), sign * (always - static)
    if gained == 0:
        out.append("Its predictions were exactly as good as without the platform.")
    elif gained < 0 and not is_surely_ahead("static", details):
        out.append("On average this was about as good as never retraining: the difference may be chance.")
    elif gained < 0:
        out.append("On average this was worse than never retraining: look at the decisions below.")
    elif gained >= possible:
        out.append(f"On average that was at least as good as retraining every {every}.")
    else:
        out.append(f"It kept {gained / possible:.0%} of the gain of retraining every {every}.")
    return out


def _lives(replay: Mapping[str, Any], places: int, every: str) -> list[dict[str, Any]]:
    summary, count = replay["summary"], len(replay["periods"])
    always = summary.get("always_trainings")
    words = {
        "auto": ("The platform", f"{counted(summary['retrains'], 'training')} after the first champion"),
        "static": ("Never retrained", "the first champion throughout"),
        "always": (
            f"Retrained every {every}",
            f"always on all history: {counted(count if always is None else always, 'training')}, no gate",
        ),
        "newest": (f"Retrained on the newest {every}", "the same, on its rows alone"),
    }
    out = []
    for life in [name for name in LIVES if name in summary]:
        value, base = summary.get(life), summary.get("static")
        known = value is not None and base is not None and life != "static"
        change = f"{value - base:+,.{places}f} against never".replace("-", "−") if known else ""
        out.append(
            {
                "key": life,
                "name": words[life][0],
                "told": words[life][1],
                "value": number_told(value, places),
                "change": change,
            }
        )
    return out


def _decisions(periods: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The decisions in order; in a long replay plain waits in a row are one entry with a fold."""
    out: list[dict[str, Any]] = []
    for p in periods:
        entry = {
            "first": p["label"].partition("..")[0],
            "last": p["label"].rpartition("..")[2],
            "label": p["label"],
            "closed": f"{datetime.fromisoformat(p['end']):%Y-%m-%d}",
            "action": ACTIONS.get(p["decision"], p["decision"]),
            "rule": (p.get("rule") or "").replace("_", " "),
            "outcome": p["outcome"] or "wait",
            "verdict": p.get("verdict_reason") or "",
            "gate": p["outcome"] if p["outcome"] in ("promoted", "rejected") else "gate",
            "reason": p.get("reason") or "",
            "more": [],
        }
        same = out and not p["outcome"] and out[-1]["outcome"] == "wait" and out[-1]["rule"] == entry["rule"]
        if len(periods) > _LONG and same:
            out[-1]["more"].append(entry)
            out[-1]["last"] = entry["last"]
        else:
            out.append(entry)
    return out


def _number_row(period: Mapping[str, Any], places: int, as_share: bool) -> list[str]:
    mean = period.get("label_mean")
    label = NO_FIGURE if mean is None else f"{mean:.1%}" if as_share else number_told(mean, 2)
    counts = [NO_FIGURE if period.get(k) is None else f"{period[k]:,}" for k in ("rows", "labelled_rows")]
    lives = [number_told(period.get(life), places) for life in COLUMNS]
    return [period["label"], *counts, label, *lives, version_told(period.get("champion_version"))]


def _marks_shown(periods: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, str]]:
    """The legend: (glyph, colour, word) of the outcomes that occur."""
    glyphs = {"promoted": "▲", "rejected": "✖", "retrained": "◆", "revert": "◀", "quarantine": "■", "cannot_judge": "▼"}
    words = {
        "promoted": "retrained and promoted",
        "rejected": "retrained, the gate rejected the challenger",
        "retrained": "retrained, no verdict",
        "quarantine": "data in quarantine",
        "revert": "went back to a kept version",
        "cannot_judge": "could not be judged",
    }
    seen = {p["outcome"] for p in periods}
    return [(glyphs[name], MARKS[name][1], words[name]) for name in MARKS if name in seen]


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _pairs(value: Any) -> list[tuple[str, str]]:
    return [(str(name), NO_FIGURE if figure is None else str(figure)) for name, figure in _mapping(value).items()]


def _texts(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else [str(text) for text in value or ()]
