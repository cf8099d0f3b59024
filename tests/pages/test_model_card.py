"""The card of a version: nothing is fetched or run, every number stands in both forms, the limits follow."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser

import pytest

from mlops_assets.core.performance.window_metrics import Estimate
from mlops_assets.core.promote.gate import RuleResult
from mlops_assets.core.record.gain import Gain
from mlops_assets.pages.model_card import Card, FeatureLine, html, limits, markdown

VOID = {"meta", "br"}


class Page(HTMLParser):
    """Text and tags of a page; every element must be closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def estimate(name: str, value: float | None = 0.7041, why: str | None = None) -> Estimate:
    lower, upper = (None, None) if value is None else (value - 0.01, value + 0.01)
    return Estimate(name, value, lower, upper, None if value is None else 0.005, 12_533, 14, why)


CARD = Card(
    model="churn",
    version=3,
    description="The probability that a customer <leaves> & stays away.",
    task="binary",
    metric="roc_auc",
    made_at="2024-03-04 05:00 UTC",
    promoted=True,
    judged=True,
    reason="roc_auc 0.7041 against 0.6900",
    decision="b49d55dbd596def0",
    why=["There is no champion yet."],
    data={"fitted on": "52,564 rows", "their hash": "813e3b10"},
    features=[FeatureLine(f"view__f{n}", (25 - n) / 325, f"Feature number {n}.") for n in range(25)],
    metrics=[estimate("roc_auc"), estimate("f1", None, "the rows have one class only")],
    slices={"region=north": estimate("roc_auc", 0.71), "region=south": estimate("roc_auc", 0.65)},
    small_slices={"region=west": 12},
    gains={"the champion": Gain(0.0141, 0.002, 0.0262, 0.95, 12_533, 14), "the baseline": "cannot judge, because few"},
    rules=[
        RuleResult("beats_champion", True, 0.002, 0.0, "gain +0.0141"),
        RuleResult("twin_agrees", False, 0.4, 0.5, "low"),
    ],
    reference={"kept in": "references/churn/version=3"},
    limits=["It was judged on 14 days."],
    lineage={"sources": ["orders", "visits"], "code": ["1a0f40f28da7"]},
    reproduce="mlops reproduce churn 3",
)


def test_the_page_fetches_nothing_and_runs_no_script() -> None:
    page = Page(html(CARD))
    assert {"script", "link", "iframe", "img", "object"} & set(page.tags) == set()
    assert [v for n, v in page.attributes if n in ("src", "href") or n.startswith("on") or "url(" in v] == []
    assert "http" not in html(CARD)


@pytest.mark.parametrize("text", [Page(html(CARD)).text, markdown(CARD)], ids=["html", "markdown"])
def test_everything_stands_on_it(text: str) -> None:
    for told in (
        "churn, version 3", "roc_auc 0.7041 against 0.6900", "b49d55dbd596def0", "There is no champion yet.",
        "52,564 rows", "813e3b10", "view__f0", "view__f24", "Feature number 7.", "0.7041", "0.6941", "0.7141",
        "the rows have one class only", "region=north", "region=south", "+0.0141", "+0.0020", "+0.0262", "12,533",
        "cannot judge, because few", "beats_champion", "twin_agrees", "passed", "failed", "references/churn/version=3",
        "It was judged on 14 days.", "orders, visits", "1a0f40f28da7", "mlops reproduce churn 3",
    ):  # fmt: skip
        assert told in text, told


def test_texts_are_escaped_on_the_page() -> None:
    assert "<leaves>" not in html(CARD)
    assert "The probability that a customer <leaves> & stays away." in Page(html(CARD)).text


def test_the_same_values_give_the_same_bytes() -> None:
    assert (html(CARD), markdown(CARD)) == (html(replace(CARD)), markdown(replace(CARD)))


def test_the_interval_of_a_slice_is_drawn_between_lowest_and_highest_bound() -> None:
    """North 0.70 to 0.72, south 0.64 to 0.66: a scale from 0.64 to 0.72, so north begins at 75 % and is 25 % wide."""
    styles = [value for name, value in Page(html(CARD)).attributes if name == "style"]
    assert "left:75.0%;width:25.0%" in styles
    assert "left:0.0%;width:25.0%" in styles
    assert "left:87.5%" in styles


@pytest.mark.parametrize(
    ("promoted", "judged", "state"), [(True, True, "promoted"), (False, True, "rejected"), (False, False, "not judged")]
)
def test_the_state_is_the_gates(promoted: bool, judged: bool, state: str) -> None:
    card = replace(
        CARD, promoted=promoted, judged=judged, reference={}, slices={}, features=[], metrics=[], gains={}, why=[]
    )
    assert card.state == state
    assert f"{state.capitalize()}." in Page(html(card)).text
    assert f"# churn, version 3: {state}" in markdown(card)
    assert "None: it is kept when a version is promoted." in markdown(card)


def test_the_limits_follow_from_what_was_there() -> None:
    told = limits(
        small_slices={"region=west": 12},
        min_rows=200,
        unlabelled=0.023,
        months=[1, 2, 3, 3],
        days=14,
        first=True,
        refit=True,
    )
    text = " ".join(told)
    assert "fewer than 200 labelled rows were not judged: region=west (12)" in text
    assert "2.3% of the gate window's events had no label" in text
    assert "no row of April, May, June, July, August, September, October, November and December" in text
    assert "judged on 14 days" in text
    assert "no champion to compare it with" in text
    assert "its twin without the newest" in text


def test_where_nothing_was_missing_little_is_told() -> None:
    full = limits(small_slices={}, min_rows=200, unlabelled=0.0, months=range(1, 13), days=28, first=False, refit=False)
    assert full == ["It was judged on 28 days. Anything rarer than that did not show."]
    assert "no row of June." in " ".join(
        limits(
            small_slices={}, min_rows=1, unlabelled=None, months={*range(1, 13)} - {6}, days=9, first=False, refit=False
        )
    )
