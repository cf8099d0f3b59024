"""A rollout's history as people look at it: who answered how much from when on, and the moves as a table.

Here: the picture and the table, from the entries on record. Not here: the moves (`rollout.moves`), reading the record
(`steps.rollout.moves`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from mlops_assets.core.record.entries import RolloutMove
from mlops_assets.pages.markdown import markdown_table
from mlops_assets.pages.palette import LIGHT
from mlops_assets.pages.svg import WIDTH, blank, markdown_image, place, svg_text, without_formulas

ENDED = ("rejected", "rolled_back")
ANSWERING = ("watch", "champion")
SHOWN = 12
"""Moves in the picture and the table: the newest."""


def moves_table(moves: Sequence[RolloutMove]) -> str:
    """One row a move, oldest first, as Markdown; newest `SHOWN` only."""
    rows = [(_minute(move.at), f"version {move.version}", state_in_words(move), move.reason) for move in moves]
    return markdown_table(rows[-SHOWN:], header=["time (UTC)", "candidate", "state", "why"])


def moves_plot(moves: Sequence[RolloutMove], *, title: str) -> str:
    """Each candidate's share of the entities, move by move, as a Markdown image; a champion's until the next one's.

    Args:
        moves: entries of the record, oldest first; the newest `SHOWN` are drawn.
        title: above the picture, and its alternative text.
    """
    shown = list(moves)[-SHOWN:]
    figure = blank(WIDTH, 220)
    axes = place(figure, left=48, right=40, top=44, bottom=48)
    shares = [100.0 * move.share for move in shown]
    at = range(len(shown))
    for version in dict.fromkeys(move.version for move in shown):
        own = [number for number in at if shown[number].version == version]
        end = _answers_until(shown, own[-1])
        axes.step(
            [*own, end], [*(shares[n] for n in own), shares[own[-1]]], where="post", color=LIGHT["auto"], linewidth=2
        )
    for number, (move, share) in enumerate(zip(shown, shares, strict=True)):
        role = "bad" if move.state in ENDED else "auto"
        axes.plot([number], [share], marker="o", markersize=6, color=LIGHT[role])
        axes.annotate(
            without_formulas(state_in_words(move).replace(" ", "\n", 1)),
            (number, share),
            (-3, 8),
            textcoords="offset points",
            size=10,
            color=LIGHT[role],
            bbox={"facecolor": LIGHT["paper"], "edgecolor": "none", "pad": 1.0},
        )
    axes.set_xticks(list(at), [f"{_minute(move.at)[5:10]}\nv{move.version}" for move in shown])
    axes.set_xlim(-0.3, len(shown))
    axes.set_ylim(-5, 125)
    axes.set_yticks([0, 25, 50, 75, 100], ["0 %", "25 %", "50 %", "75 %", "100 %"])
    figure.text(8 / WIDTH, 200 / 220, without_formulas(title), size=13, color=LIGHT["ink"], weight="bold")
    return markdown_image(svg_text(figure), title)


def _answers_until(moves: Sequence[RolloutMove], last: int) -> float:
    """Where the line of a version ends, whose last move is the one at `last`."""
    if moves[last].state not in ANSWERING:
        return last if moves[last].state in ENDED else last + 0.6
    later = (n for n in range(last + 1, len(moves)) if moves[n].state in ANSWERING)
    return next(later, len(moves))


def state_in_words(move: RolloutMove) -> str:
    """The state in words, with the share of a canary."""
    if move.state == "canary":
        return f"canary {100.0 * move.share:g} %"
    return move.state.replace("_", " ")


def _minute(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M}"
