"""Values and names of the data on every kind of page, in a real browser: they are read there, and never run."""

from __future__ import annotations

import base64
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from markdown_it import MarkdownIt
from rich.table import Table

from mlops_assets.assets.metadata import markdown_value
from mlops_assets.commands.console import Terminal
from mlops_assets.core.drift.feature_drift import compare
from mlops_assets.core.drift.grid import Grid
from mlops_assets.core.drift.policy import DriftPolicy, drift_verdict
from mlops_assets.core.drift.profile import Profile
from mlops_assets.core.values.display import harmless, harmless_json, shown
from mlops_assets.pages.drift import drift_page
from mlops_assets.pages.evidently_report import drift_report_html
from mlops_assets.pages.figures import feature_importance
from mlops_assets.pages.markdown import markdown_table
from mlops_assets.pages.model_card import FeatureLine, html, markdown
from mlops_assets.pages.replay import render
from mlops_assets.pages.svg import markdown_bars
from tests.browser import HOSTILE, is_owned, needs_browser, opened
from tests.pages.replay_values import details, monthly
from tests.pages.test_model_card import CARD, estimate

ALL = " ".join(HOSTILE)
ACTS = ("\x1b[2J", "\x1b]0;title\x07", "\x9b31m", "\x08\x08", "\r", "\u202eabc", "\u2066x", "\x00", "\x7f", "\ud800")


def frame(seed: int, rows: int = 600) -> pd.DataFrame:
    """A category of hostile values, and a number under a hostile name."""
    rng = np.random.default_rng(seed)
    values = np.array(HOSTILE)[rng.integers(seed, len(HOSTILE), rows)]
    return pd.DataFrame({"place": values, HOSTILE[2]: rng.normal(seed, 1, rows), HOSTILE[0]: values[::-1]})


def evidently() -> str:
    return drift_report_html(frame(0), frame(2), numeric=[HOSTILE[2]], categorical=["place", HOSTILE[0]], seed=1)


def drift() -> str:
    grid = Grid.from_reference(frame(0))
    profiles = Profile.of(grid, frame(0)), Profile.of(grid, frame(2))
    drifts = compare(*profiles)
    return drift_page(
        names=(ALL, ALL), profiles=profiles, drifts=drifts, verdict=drift_verdict(drifts, DriftPolicy()),
        left_out={ALL: ALL}, kl=True,
    )  # fmt: skip


def hostile_card() -> str:
    return html(HOSTILE_CARD)


HOSTILE_CARD = replace(
    CARD, model=ALL, description=ALL, reason=ALL, why=[ALL], data={ALL: ALL}, features=[FeatureLine(ALL, 0.5, ALL)],
    slices={f"place={value}": estimate("roc_auc") for value in HOSTILE}, gains={ALL: ALL}, limits=[ALL],
    reference={ALL: ALL}, lineage={ALL: [ALL]},
    rules=[replace(CARD.rules[0], name=ALL, sentence=ALL)],
)  # fmt: skip


def replayed() -> str:
    replay = monthly()
    for period in replay["periods"]:
        period.update(reason=ALL, verdict_reason=period["verdict_reason"] and ALL)
    more = details(replay)
    for one in more["drift"]:
        one["feature"] += ALL
    return render({**replay, "model": ALL}, details={**more, "notes": [ALL], "versions": {ALL: ALL}})


def figures() -> str:
    """What is kept of a training: its SVG, as a browser opens it and as part of a page."""
    return as_page(feature_importance({value: 1 / len(HOSTILE) for value in HOSTILE}))


def pictures() -> str:
    """The image in Markdown, and its SVG as part of the page."""
    bars = markdown_bars([(value, 1.0) for value in HOSTILE], title=ALL, limit=None)
    drawing = base64.b64decode(bars.rpartition("base64,")[2].removesuffix(")")).decode()
    return as_page(f"{bars}\n\n{drawing}")


def tables() -> str:
    """What Dagster shows: tables, sentences around them, the card."""
    cells = markdown_table([(value, 0.5, value) for value in HOSTILE], header=["place", ALL, "why"])
    return as_page(markdown_value("\n\n".join([ALL, cells, *HOSTILE])).value)


def card_as_markdown() -> str:
    return as_page(markdown(HOSTILE_CARD))


def as_page(text: str) -> str:
    """Markdown by a renderer that lets HTML through, which is more than any viewer should."""
    body = MarkdownIt("commonmark", {"html": True}).enable("table").render(text)
    return f"<!doctype html><html><body>{body}</body></html>"


PAGES = (evidently, drift, hostile_card, replayed, figures, pictures, tables, card_as_markdown)


@needs_browser
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.__name__)
def test_hostile_values_are_read_and_not_run(page: object, tmp_path: Path) -> None:
    text = page()  # type: ignore[operator]
    assert not is_owned(opened(text, tmp_path))


@needs_browser
@pytest.mark.parametrize("value", HOSTILE[:3])
def test_the_browser_would_tell(value: str, tmp_path: Path) -> None:
    assert is_owned(opened(f"<!doctype html><html><head></head><body>{value}</body></html>", tmp_path))


def test_a_page_that_evidently_makes_still_shows_its_values() -> None:
    text = evidently()
    assert "</script><script>document" not in text
    assert "\\u003c/script>\\u003cscript>" in text


def test_a_cell_is_one_cell_and_shows_what_it_holds() -> None:
    rows = [(value, index) for index, value in enumerate(HOSTILE)]
    made = MarkdownIt("commonmark").enable("table").render(markdown_table(rows, header=["a|b", "n"]))
    assert made.count("<td") == 2 * len(HOSTILE)
    assert "<code" not in made
    assert "<a " not in made
    assert "a|b" in made


def test_pictures_of_ours_stay_in_what_dagster_shows() -> None:
    picture = markdown_bars([("a", 1.0)], title="bars", limit=None)
    assert markdown_value(picture).value == picture


@pytest.mark.parametrize("text", ACTS)
def test_a_terminal_shows_and_does_not_obey(text: str) -> None:
    out = io.StringIO()
    console = Terminal(file=out, width=80)
    console.print(f"before {text} after", soft_wrap=True)
    table = Table(f"head {text}", title=f"title {text}")
    table.add_row(f"cell {text}")
    console.print(table)
    assert harmless(out.getvalue()) == out.getvalue()
    assert "after" in out.getvalue()
    assert shown(f"x\n{text}").isprintable()


def test_json_for_programs_is_inert_and_the_same() -> None:
    value = {"a": [*ACTS[:-1], "\n", "\u00e9", "\u05e9"]}
    text = harmless_json(json.dumps(value, ensure_ascii=False))
    assert json.loads(text) == value
    assert harmless(text) == text
    assert "\u00e9" in text
