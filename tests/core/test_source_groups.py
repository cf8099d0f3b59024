"""Which sources belong together, and the job that carries them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from mlops_assets.core.source_groups import joined, landing_job, source_groups
from tests.landing_home import source

SOURCES = {
    name: source(name=name, grain=grain, **({"files": "x*.csv", "start": None} if grain == "none" else {}))
    for name, grain in {"a": "day", "b": "none", "c": "month", "d": "day", "e": "none", "f": "none"}.items()
}


def groups(*read: str, models: tuple[str, ...] = ()) -> list[set[str]]:
    """Groups where each text names the sources of one view, and of one model."""
    catalogue: Any = SimpleNamespace(
        views=[SimpleNamespace(name=each, sources=tuple(each)) for each in read],
        labels=[],
        sources_of=lambda names: frozenset(names[0]),
    )
    of: Any = [SimpleNamespace(features=[each], label=SimpleNamespace(model=each)) for each in models]
    return [set(group) for group in source_groups(catalogue, SOURCES, of)]


def test_sets_that_share_a_member_are_one() -> None:
    assert joined(["ab", "cd", "bc", "x", ""]) == [frozenset("abcd"), frozenset("x")]
    assert joined([]) == []


@pytest.mark.parametrize(
    ("read", "models", "expected"),
    [
        (("ab", "c"), (), [{"a", "b"}, {"c"}, {"d"}, {"e", "f"}]),
        (("ab", "c"), ("ac",), [{"a", "b", "c"}, {"d"}, {"e", "f"}]),
        ((), (), [{"a"}, {"c"}, {"d"}, {"b", "e", "f"}]),
    ],
)
def test_groups_are_what_is_read_together(
    read: tuple[str, ...], models: tuple[str, ...], expected: list[set[str]]
) -> None:
    assert groups(*read, models=models) == expected


def test_a_job_is_called_after_the_first_source_it_carries() -> None:
    assert landing_job(SOURCES, "abcd", "day") == "landing_a"
    assert landing_job(SOURCES, "abcd", "month") == "landing_c"
    assert landing_job(SOURCES, "bd", "none") == "landing_d", "a changed table goes with the partitions"
    assert landing_job(SOURCES, "ef", "none") == "landing_e"


def test_what_is_not_known_joins_nothing() -> None:
    catalogue: Any = SimpleNamespace(
        views=[SimpleNamespace(name=each, sources=tuple(each)) for each in ("ad", "bc")], labels=[]
    )
    found = source_groups(catalogue, SOURCES, [], known=lambda name: name != "ad")
    assert [set(group) for group in found] == [{"a"}, {"b", "c"}, {"d"}, {"e", "f"}]
