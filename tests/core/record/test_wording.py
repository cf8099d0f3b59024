"""Answers, reasons and numbers as a person reads them: nothing twice, one thing in the singular."""

from __future__ import annotations

import pytest

from mlops_assets.core.record.plain_values import counted
from mlops_assets.core.record.wording import answer_told, reasons_told
from mlops_assets.core.stats.intervals import CannotJudge


@pytest.mark.parametrize(
    ("action", "rule", "told"),
    [
        ("retrain", "drift", "retrain (rule: drift)"),
        ("wait", "rollout_open", "wait (rule: rollout_open)"),
        ("wait", "nothing", "no retraining: no rule asked for one"),
        ("cannot_judge", "cannot_judge", "cannot judge"),
        ("revert", "revert", "revert"),
    ],
)
def test_an_answer_names_its_rule_once(action: str, rule: str, told: str) -> None:
    assert answer_told(action, rule) == told


def test_what_cannot_be_judged_is_said_once() -> None:
    reason = str(CannotJudge("the window has no rows", "Wait until its data has landed"))
    assert reasons_told("cannot_judge", [reason, "There is no champion."]) == [
        "The window has no rows. Wait until its data has landed",
        "There is no champion.",
    ]
    assert reasons_told("wait", [reason]) == [reason]


@pytest.mark.parametrize(
    ("number", "noun", "told"),
    [
        (1, "entry", "1 entry"), (2, "entry", "2 entries"), (0, "day", "0 days"), (1_000, "match", "1,000 matches"),
        (1, "new file", "1 new file"), (3, "label model", "3 label models"), (2, "loss", "2 losses"),
    ],
)  # fmt: skip
def test_one_is_no_more_than_one(number: int, noun: str, told: str) -> None:
    assert counted(number, noun) == told
