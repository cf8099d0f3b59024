from __future__ import annotations

import html
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from rich.console import Console

from mlops_assets.core.record.plain_values import metric_name
from mlops_assets.pages.palette import LIGHT
from mlops_assets.pages.replay import render
from mlops_assets.pages.replay_charts import LIVES, NAMES, ticks
from mlops_assets.pages.replay_console import console_table
from mlops_assets.pages.replay_wording import (
    COLUMNS,
    guessing_told,
    headline,
    not_judged_told,
    set_aside_told,
    trainings_told,
    worse_than_best_told,
)
from tests.pages.replay_values import details, monthly, weekly

VOID = {"meta", "br", "link", "img", "input", "hr"}


class Page(HTMLParser):
    """What a browser would see: text, attributes, and whether every element is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.rows: list[int] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module", params=["monthly", "weekly"])
def told(request: pytest.FixtureRequest) -> tuple[dict[str, Any], str]:
    replay = {"monthly": monthly, "weekly": weekly}[request.param]()
    return replay, render(replay, details=details(replay))


def test_the_page_fetches_nothing_and_runs_no_script(told: tuple[dict[str, Any], str]) -> None:
    page = Page(told[1])
    assert not {"script", "link", "iframe", "img", "object"} & set(page.tags)
    fetched = [
        value
        for name, value in page.attributes
        if name in ("src", "href", "xlink:href", "srcset", "data") and not value.startswith("#")
    ]
    assert fetched == []
    assert "@import" not in told[1]
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", told[1]))


def test_the_page_is_small_and_well_formed(told: tuple[dict[str, Any], str]) -> None:
    assert len(told[1]) < 1_000_000
    page = Page(told[1])
    assert page.open == []
    ids = [value for name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))


def test_of_classes_the_largest_is_shown_and_no_mean_of_their_codes() -> None:
    page = render({**monthly(), "task": "multiclass"}, details={})
    assert "Share of the most frequent class" in page
    assert "largest class" in page
    assert "Mean of the label" not in page


def test_every_decision_is_told_with_its_reason_and_verdict(told: tuple[dict[str, Any], str]) -> None:
    replay, text = told
    for period in replay["periods"]:
        assert html.escape(period["reason"]) in text
        if period["verdict_reason"]:
            assert html.escape(period["verdict_reason"]) in text
        assert period["label"] in text


def test_the_same_replay_gives_the_same_page(told: tuple[dict[str, Any], str]) -> None:
    replay, text = told
    assert render(replay, details=details(replay)) == text


def test_charts_take_their_colours_from_the_scheme(told: tuple[dict[str, Any], str]) -> None:
    charts = re.findall(r"<svg.*?</svg>", told[1], re.DOTALL)
    assert len(charts) == 2
    for chart in charts:
        assert "var(--auto)" in chart
        assert not any(colour in chart for colour in LIGHT.values())
    assert "prefers-color-scheme:dark" in told[1]


def test_texts_are_escaped() -> None:
    replay = monthly()
    bad = "<script>alert('x')</script> & <b>"
    replay["periods"][0] |= {"reason": bad, "verdict_reason": bad, "label": bad, "rule": bad}
    replay["periods"][0]["checks"] = {bad: False}
    told = {"drift": [{"period": bad, "feature": bad, "psi": 0.3}], "notes": [bad], "versions": {bad: bad}}
    text = render(replay | {"model": bad, "metric": bad}, details=told)
    assert "<script" not in text
    assert "<b> " not in text
    assert "&lt;script&gt;" in text
    assert Page(text).open == []


def test_headline_has_the_numbers_that_matter() -> None:
    told = "Retrained 4 times instead of 9; mean ROC AUC 0.697, never retrained 0.655, always 0.699."
    worse = "The platform did worse than a plain calendar: ROC AUC 0.697 against 0.699"
    worse += " (retrained every month on all history)."
    assert headline(monthly(), {"gains": {"always": (0.001, 0.003)}}) == f"{worse} {told}"
    alike = worse.replace("worse than", "about as well as").replace(
        "history).", "history); the difference may be chance."
    )
    assert headline(monthly(), {"gains": {"always": (-0.001, 0.005)}}) == f"{alike} {told}"
    assert headline(monthly(), {}) == f"{alike} {told}", "nobody could say how sure it is"
    replay = monthly()
    replay["summary"]["always"] = 0.6974
    assert headline(replay, {"gains": {"always": (0.0001, 0.0002)}}) == told.replace("0.699", "0.697"), (
        "a difference that is not shown is none"
    )


def test_a_platform_that_does_worse_than_a_calendar_says_so() -> None:
    given: dict[str, Any] = {"metric": "roc_auc", "greater_is_better": True, "places": 3, "every": "month"}
    given["surely"] = ("static", "always", "newest", "a life of its own")
    lives = {"auto": 0.477, "static": 0.47, "always": 0.51, "newest": 0.5}
    assert worse_than_best_told(lives, **given) == (
        "The platform did worse than a plain calendar: ROC AUC 0.477 against 0.510 "
        "(retrained every month on all history)."
    )
    assert "0.550 (retrained every month on the newest month alone)" in worse_than_best_told(
        lives | {"newest": 0.55}, **given
    )
    assert "against 0.600 (a life of its own)" in worse_than_best_told(lives | {"a life of its own": 0.6}, **given)
    never = worse_than_best_told({"auto": 0.477, "static": 0.6}, **given)
    assert never == "The platform did worse than never retraining: ROC AUC 0.477 against 0.600."


def test_worse_is_only_what_chance_does_not_make() -> None:
    given: dict[str, Any] = {"metric": "roc_auc", "greater_is_better": True, "places": 3, "every": "month"}
    lives = {"auto": 0.477, "static": 0.49, "always": 0.51}
    assert worse_than_best_told(lives, surely=(), **given) == (
        "The platform did about as well as a plain calendar: ROC AUC 0.477 against 0.510 (retrained every month on all "
        "history); the difference may be chance."
    )
    assert worse_than_best_told(lives, surely=("static",), **given) == (
        "The platform did worse than never retraining: ROC AUC 0.477 against 0.490."
    )


def test_a_short_period_and_a_model_without_a_split_are_named() -> None:
    replay = monthly()
    replay["periods"][8] |= {"end": "2013-12-02"}
    day = "Each period counts the same in the means, whatever its length: 2013-12 has 1 day of up to 31."
    assert not_judged_told(replay, details={}) == [day]
    said = not_judged_told(replay, details={"constant": {"newest": ["2013-12"], "auto": ["2013-05", "2013-06"]}})[1:]
    assert [sentence.partition(":")[0] for sentence in said] == [
        "The life newest said the same of every row in 2013-12",
        "The life of the platform said the same of every row in 2013-05, 2013-06",
    ]


@pytest.mark.parametrize(
    "lives",
    [
        {"auto": 0.51, "static": 0.47, "always": 0.51},
        {"auto": 0.5096, "always": 0.51},
        {"auto": 0.52, "always": 0.51},
        {"auto": None, "always": 0.51},
        {"auto": 0.51, "always": None},
        {"auto": 0.51},
    ],
    ids=["equal", "a rounding", "better", "the platform is not known", "no other is known", "no other"],
)
def test_a_platform_that_does_no_worse_says_nothing(lives: dict[str, float | None]) -> None:
    assert (
        worse_than_best_told(lives, metric="roc_auc", greater_is_better=True, places=3, every="month", surely=lives)
        == ""
    )


def test_of_a_loss_less_is_better() -> None:
    given: dict[str, Any] = {"metric": "rmse", "greater_is_better": False, "places": 2, "every": "week"}
    given["surely"] = ("always",)
    assert "RMSE 15.00 against 14.00 (retrained every week" in worse_than_best_told(
        {"auto": 15.0, "always": 14.0}, **given
    )
    assert worse_than_best_told({"auto": 14.0, "always": 15.0}, **given) == ""


def checked(*answers: bool | None, promoted_at: int | None = None) -> dict[str, Any]:
    """A replay whose periods have these answers of the check, and no promotion but that one."""
    replay = monthly()
    for place, (period, answer) in enumerate(zip(replay["periods"], answers, strict=False)):
        period["checks"]["not_worse_than_guessing"] = answer
        period["promoted"] = True if place == promoted_at else None
    replay["periods"] = replay["periods"][: len(answers)]
    return replay


def test_a_champion_worse_than_guessing_is_the_headline() -> None:
    since = "flight_delay has been worse than guessing since June 2013."
    assert guessing_told(checked(True, True, False, None, False)) == since
    assert guessing_told(checked(True, False, True, False, None)).endswith("since July 2013.")
    replay = checked(True, True, False, False)
    assert headline(replay, {}).startswith(since)
    assert f"<h1>{since}" in _page(replay)
    over = "flight_delay was worse than guessing in 2 of {}, first in May 2013{}."
    assert guessing_told(checked(True, False, False, True)) == over.format("4 judged periods", "")
    unjudged = checked(True, False, False, None, promoted_at=2)
    told = over.format("3 judged periods", "; 1 period that could not be judged")
    assert guessing_told(unjudged) == told
    assert headline(unjudged, {}).startswith(told)
    unjudged["periods"][3]["labelled_rows"] = 0
    assert guessing_told(unjudged) == over.format("3 judged periods", "; 1 period without labels")
    assert guessing_told(checked(True, None, True)) == ""
    assert guessing_told(monthly()) == "", "a replay from before the check"


def test_share_of_the_possible_gain() -> None:
    """By hand: (0.697 - 0.655) / (0.699 - 0.655) = 95 %; for a loss (16 - 15) / (16 - 14) = 50 %."""
    assert "It kept 95% of the gain of retraining every month" in Page(_page(monthly())).text
    replay = weekly()
    replay["summary"] |= {"static": 16.0, "auto": 15.0, "always": 14.0}
    text = Page(_page(replay)).text
    assert "It kept 50% of the gain of retraining every week" in text
    assert "RMSE, lower is better" in text
    assert "−1.00 against never" in text


@pytest.mark.parametrize(
    ("auto", "told"),
    [
        (0.64, "worse than never retraining"),
        (0.655, "exactly as good as without the platform"),
        (0.72, "at least as good as retraining every month"),
    ],
)
def test_the_page_says_so_when_the_platform_does_not_pay(auto: float, told: str) -> None:
    replay = monthly()
    replay["summary"] |= {"static": 0.655, "auto": auto, "always": 0.70}
    sure = details(replay) | {"gains": {"static": (0.01, 0.02)}}
    assert told in Page(render(replay, details=sure)).text
    if "worse" in told:
        assert "about as good as never retraining: the difference may be chance" in Page(_page(replay)).text


def test_nothing_known_is_told_as_not_known() -> None:
    replay = monthly()
    unknown = {"static": None, "auto": None, "always": None}
    replay["periods"] = [
        {**p, **unknown, "label_mean": None, "labelled_rows": 0, "checks": {}, "verdict_reason": None,
         "decision": "cannot_judge", "rule": "cannot_judge", "retrained": False, "promoted": None}
        for p in replay["periods"]
    ]  # fmt: skip
    replay["summary"] |= {**unknown, "retrains": 0, "promotions": 0, "rejections": 0, "seconds": None}
    text = Page(render(replay, details={})).text
    assert "not known" in text
    assert "too few labels" in text
    assert "nan" not in text.lower()
    assert "None" not in text
    Console(file=None, quiet=True).print(console_table(replay))


def test_no_retraining_and_a_single_period() -> None:
    replay = monthly()
    replay["periods"] = [{**replay["periods"][1], "static": 0.7, "auto": 0.7, "always": 0.7}]
    replay["summary"] |= {"static": 0.7, "auto": 0.7, "always": 0.7, "retrains": 0, "promotions": 0}
    replay["summary"] |= {"rejections": 0, "always_trainings": 1}
    text = Page(_page(replay)).text
    assert "Not retrained (a plain calendar would have retrained once)." in text
    assert "Nothing asked for a retraining" in text
    assert "1 period" in text


@pytest.mark.parametrize(
    ("retrains", "always", "told"),
    [
        (0, 1, "Not retrained (a plain calendar would have retrained once)"),
        (0, 10, "Not retrained (a plain calendar would have retrained 10 times)"),
        (1, 4, "Retrained once instead of 4 times"),
        (2, 2, "Retrained twice instead of twice"),
        (3, 9, "Retrained 3 times instead of 9"),
    ],
)
def test_trainings_are_counted_in_plain_words(retrains: int, always: int, told: str) -> None:
    assert trainings_told({"summary": {"retrains": retrains, "always_trainings": always}}) == told


def test_one_word_for_each_life() -> None:
    """Table, chart, page and `replay.json` call the life on the newest period alone by one word."""
    replay = monthly()
    for part in (*replay["periods"], replay["summary"]):
        part["newest"] = 0.6
    text = Page(_page(replay)).text
    console = Console(width=80)
    with console.capture() as captured:
        console.print(console_table(replay))
    assert set(LIVES) == set(NAMES) == {"auto", *COLUMNS}
    assert NAMES["newest"] == "newest"
    assert "Retrained on the newest month" in text
    assert "newest 0.600" in headline(replay, {})
    assert "newest" in captured.get()
    for shown in (_page(replay), captured.get()):
        assert not re.search(r">last<|“last”|\blast +failed\b|newest (window|rows)", shown)


def unlabelled(*places: int, why: str = "none of its 27,000 rows has a label") -> dict[str, Any]:
    """A replay that could not be measured in these periods."""
    replay = monthly()
    for place in places:
        replay["periods"][place] |= {"labelled_rows": 0, "not_judged": why} | dict.fromkeys(
            ("static", "auto", "always")
        )
    return replay


def test_a_period_without_labels_is_named_and_left_out_of_the_means() -> None:
    told = not_judged_told(unlabelled(8), details={})
    assert told == [
        "2013-12 was not judged, because none of its 27,000 rows has a label.",
        "The means are over the other 8 periods.",
    ]
    page = Page(_page(unlabelled(8))).text
    assert all(sentence in page for sentence in told)
    assert not_judged_told(monthly(), details={}) == []
    assert not_judged_told(unlabelled(*range(9)), details={})[-1].startswith(
        "9 periods were not judged (2013-04, 2013-05, 2013-06, 2013-07, 2013-08"
    )
    mixed = unlabelled(7, 8)
    mixed["periods"][7]["not_judged"] = "all 310 labels are 0, and roc_auc needs both classes"
    mixed["periods"][8]["not_judged"] = "all 27 labels are 1, and roc_auc needs both classes"
    assert not_judged_told(mixed, details={})[0] == (
        "2 periods were not judged (2013-11, 2013-12), "
        "the first because all 310 labels are 0, and roc_auc needs both classes."
    )


def test_a_period_of_which_few_labels_are_known_says_so() -> None:
    replay = monthly()
    replay["periods"][8] |= {"rows": 244, "labelled_rows": 24}
    assert not_judged_told(replay, details={}) == [
        "2013-12 was judged on 24 of its 244 rows: the others have no label."
    ]
    for period in replay["periods"]:
        period |= {"rows": 100, "labelled_rows": 10}
    assert not_judged_told(replay, details={}) == [], "they are no worse off than the others"


def test_what_was_set_aside_is_counted_by_source_and_kind_of_reason() -> None:
    replay = monthly()
    replay["quarantine"] = [
        {"source": "flights", "grain": "day", "partition": f"2013-05-0{day}", "period": "2013-05", "reason": reason,
         "folder": f"lake/quarantine/flights/2013-05-0{day}"}
        for day, reason in enumerate(
            ["12 rows and 80 to 120 are expected.", "9 rows and 80 to 120 are expected.", "carrier: 'A<b>' is new."], 1
        )
    ]  # fmt: skip
    replay["quarantine"].append({**replay["quarantine"][0], "source": "planes", "grain": "none", "partition": "whole"})
    told = [
        "2 days of flights were set aside, the first 2013-05-01: 12 rows and 80 to 120 are expected.",
        "1 day of flights was set aside, 2013-05-03: carrier: 'A<b>' is new.",
        "1 file of planes was set aside, whole: 12 rows and 80 to 120 are expected.",
    ]
    assert [sentence for sentence, _ in set_aside_told(replay)] == told
    text = render(replay, details={"home": "../replays/a b"})
    assert all(sentence in Page(text).text for sentence in told)
    assert 'href="../replays/a%20b/lake/quarantine/flights/2013-05-01/"' in text
    assert "<b>' is new" not in text
    assert "<a " not in render(replay, details={}), "nobody knows where"
    replay["quarantine"] = [{**replay["quarantine"][0], "reason": "\x1b[31m" + "long " * 100}]
    (shown,) = [sentence for sentence, _ in set_aside_told(replay)]
    assert len(shown) < 240
    assert "\x1b" not in shown


def test_a_replay_without_periods_is_refused_with_the_remedy() -> None:
    with pytest.raises(ValueError, match=r"choose --start and --end"):
        render({**monthly(), "periods": []}, details={})


def test_heat_map_has_most_drifted_features_first_and_folds_the_rest() -> None:
    replay = monthly()
    given = details(replay)
    text = render(replay, details=given)
    order = re.findall(r'<th scope="row">((?:origin|carrier|route|plane|schedule|history)\w+)</th>', text)
    largest = {name: max(row["psi"] for row in given["drift"] if row["feature"] == name) for name in set(order)}
    assert len(order) == 45
    assert [largest[name] for name in order] == sorted(largest.values(), reverse=True)
    assert "25 more features" in text


def test_heat_map_of_other_windows_than_the_periods() -> None:
    windows = ["2013-04-01..2013-04-07", "2013-04-08..2013-04-14"]
    drift = [{"period": w, "feature": "temperature", "psi": 0.15 + k} for k, w in enumerate(windows)]
    text = render(monthly(), details={"drift": drift})
    assert 'title="temperature, 2013-04-08..2013-04-14: PSI 1.150">1.15</td>' in text
    assert "not measured" not in text
    assert "<span>8 Apr</span>" in text
    odd = render(monthly(), details={"drift": [{"period": "first window", "feature": "t", "psi": 0.3}]})
    assert "<span>first window</span>" in odd


@pytest.mark.parametrize(("psi", "level"), [(0.0, 0), (0.0999, 1), (0.1, 2), (0.1999, 2), (0.2, 3), (0.5, 4), (7.0, 5)])
def test_colours_change_at_the_customary_levels(psi: float, level: int) -> None:
    replay = monthly()
    drift = [{"period": "2013-04", "feature": "temperature", "psi": psi}]
    text = render(replay, details={"drift": drift})
    assert f'<td class="h{level}" title="temperature, 2013-04: PSI {psi:.3f}">' in text
    assert text.count('<td class="hnone"') == 8


def test_long_replays_fold_waits_in_a_row() -> None:
    assert "the other 8" in Page(_page(weekly())).text
    assert "the other" not in Page(_page(monthly())).text


def test_ticks_name_the_year_where_it_begins() -> None:
    periods = [{"start": "2013-11-01"}, {"start": "2013-12-01"}, {"start": "2014-01-01"}]
    assert ticks(periods) == ["Nov 2013", "Dec", "Jan 2014"]
    weeks = [{"start": "2013-12-30T00:00:00+00:00"}, {"start": "2014-01-06T00:00:00+00:00"}]
    assert ticks(weeks) == ["30 Dec 2013", "6 Jan 2014"]


def test_metric_names_as_people_write_them() -> None:
    assert [metric_name(name) for name in ("roc_auc", "log_loss", "rmse")] == ["ROC AUC", "log loss", "RMSE"]


def test_console_table_has_a_row_per_period_and_the_means_on_eighty_columns() -> None:
    console = Console(width=80)
    with console.capture() as captured:
        console.print(console_table(monthly()))
    text = captured.get()
    assert all(p["label"] in text for p in monthly()["periods"])
    assert "rejected" in text
    assert "inputs" in text
    assert "…" not in text
    assert headline(monthly(), {}) in " ".join(text.split())


def test_a_week_is_told_by_its_first_day_on_eighty_columns() -> None:
    weekly = monthly()
    for p in weekly["periods"]:
        label = f"{p['start']}..{p['end']}"
        p.update(
            label=label,
            decision="cannot_judge",
            labelled_rows=12_345,
            static=-0.123,
            checks={"performance_holds": False},
        )
    console = Console(width=80)
    with console.capture() as captured:
        console.print(console_table(weekly))
    text = captured.get()
    assert all(p["start"] in text for p in weekly["periods"])
    assert all(whole in text for whole in ("12,345", "performance", "-0.123"))
    assert "…" not in text


def _page(replay: dict[str, Any]) -> str:
    return render(replay, details=details(replay))
