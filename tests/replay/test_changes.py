"""Known changes against the periods of a replay: found, found late, never."""

from __future__ import annotations

from datetime import date
from typing import Any

from mlops_assets.replay.changes import KnownChange, found

FIRST = KnownChange("new_pattern", "cards are tried out", date(2024, 4, 3))
SECOND = KnownChange("season", "people spend more", date(2024, 4, 22), date(2024, 4, 28))


def week(day: int, *, failed: tuple[str, ...] = (), promoted: bool | None = None) -> dict[str, Any]:
    checks = {name: name not in failed for name in ("inputs", "performance")} | {"outputs": None}
    return {
        "start": f"2024-04-{day:02}",
        "end": f"2024-04-{day + 7:02}" if day < 24 else "2024-05-06",
        "checks": checks,
        "promoted": promoted,
    }


def test_a_change_is_found_at_the_end_of_the_first_period_in_which_a_check_fails() -> None:
    periods = [
        week(1),
        week(8, failed=("performance",), promoted=False),
        week(15, promoted=True),
        week(22, failed=("inputs", "performance")),
    ]
    first, second = found([SECOND, FIRST], periods)
    assert (first["found"], first["checks"], first["days"]) == ("2024-04-15", ["performance"], 12)
    assert first["promoted"] == "2024-04-22"
    assert (second["found"], second["checks"], second["days"]) == ("2024-04-29", ["inputs", "performance"], 7)
    assert (second["promoted"], second["last"]) == (None, "2024-04-28")


def test_what_fails_before_a_change_or_after_the_next_is_not_its() -> None:
    periods = [week(1), week(8), week(15), week(22, failed=("inputs",), promoted=True)]
    early = KnownChange("renamed_field", "a field is renamed", date(2024, 4, 9))
    (told, other) = found([early, SECOND], periods)
    # The week in which the next begins is both's; the check that fails there is laid to the later one as well.
    assert other["found"] == "2024-04-29"
    assert found([early], [week(1, failed=("inputs",)), week(8), week(15)])[0]["found"] is None
    assert told["name"] == "renamed_field"
