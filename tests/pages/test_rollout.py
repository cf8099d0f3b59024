"""The history of rollouts as a picture and a table."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

from mlops_assets.core.record.entries import RolloutMove
from mlops_assets.pages.rollout import SHOWN, moves_plot, moves_table


def move(state: str, share: float, day: int) -> RolloutMove:
    at = datetime(2013, 3, day, 5, tzinfo=UTC)
    return RolloutMove(id=f"{day}", at=at, since=at, version=2, state=state, share=share, reason=f"because {day}")


MOVES = [move("shadow", 0.0, 1), move("canary", 0.05, 2), move("watch", 1.0, 3), move("rolled_back", 0.0, 4)]


def test_the_table_has_a_row_a_move() -> None:
    rows = moves_table(MOVES).splitlines()
    assert len(rows) == 2 + len(MOVES)
    assert [cell.strip() for cell in rows[3].split("|")[1:-1]] == [
        "2013-03-02 05:00", "version 2", "canary 5 %", "because 2",
    ]  # fmt: skip
    assert len(moves_table(MOVES * 10).splitlines()) == 2 + SHOWN


def test_the_picture_names_the_states_and_is_the_same_each_time() -> None:
    picture = moves_plot(MOVES, title="who answers")
    assert picture == moves_plot(MOVES, title="who answers")
    svg = base64.b64decode(picture.partition("base64,")[2].rstrip(")")).decode()
    assert all(text in svg for text in ("shadow", "canary", "5 %", "watch", "rolled", "who answers"))
