"""Known changes against the periods of a replay: found, found late, never."""

from __future__ import annotations

from datetime import date
from typing import Any

from mlops_assets.pages.replay import render
from mlops_assets.simulate.changes import KnownChange, when_noticed
from tests.pages.replay_values import monthly

FIRST = KnownChange("new_pattern", "cards are tried out", date(2013, 4, 3))
SECOND = KnownChange("season", "people spend more", date(2013, 4, 22), date(2013, 4, 28))


def week(day: int, *, failed: dict[str, str] | None = None, promoted: bool | None = None) -> dict[str, Any]:
    failed = failed or {}
    return {
        "start": f"2013-04-{day:02}",
        "end": f"2013-04-{day + 7:02}",
        "checks": {name: name not in failed for name in ("inputs", "performance")} | {"outputs": None},
        "failed_at": failed,
        "promoted": promoted,
    }


def test_a_change_is_found_when_it_is_known_that_a_check_failed() -> None:
    """Labels come a week later: that the week of the 8th was bad is known on the 22nd."""
    periods = [
        week(1),
        week(8, failed={"performance": "2013-04-22"}),
        week(15, promoted=True),
        week(22, failed={"inputs": "2013-04-29", "performance": "2013-05-06"}, promoted=True),
    ]
    periods[2]["end"] = "2013-04-21"  # Not known by then: this promotion is no answer.
    first, second = when_noticed([SECOND, FIRST], periods)
    assert (first["found"], first["checks"], first["days"]) == ("2013-04-22", ["performance"], 19)
    assert first["promoted"] == "2013-04-29"
    assert (second["found"], second["checks"], second["days"]) == ("2013-04-29", ["inputs"], 7)
    assert (second["promoted"], second["last"]) == ("2013-04-29", "2013-04-28")


def test_what_failed_already_before_a_change_is_not_its() -> None:
    periods = [
        week(1, failed={"performance": "2013-04-15"}),
        week(8, failed={"performance": "2013-04-22"}),
        week(15),
        week(22),
    ]
    (told,) = when_noticed([KnownChange("renamed_field", "a field is renamed", date(2013, 4, 8))], periods)
    assert (told["found"], told["days"], told["checks"], told["promoted"]) == (None, None, [], None)


def test_the_report_tells_them() -> None:
    values = monthly()
    assert "What was changed" not in render(values, details={})
    values["changes"] = when_noticed([KnownChange("x", "a <field> is renamed", date(2013, 4, 9))], values["periods"])
    page = render(values, details={})
    assert "What was changed, and when it was found" in page
    assert "a &lt;field&gt; is renamed" in page
    assert "<td>never</td>" in page
