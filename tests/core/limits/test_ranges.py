"""Every number and every length of time of the settings has a range, and what lies outside is refused by name."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import is_dataclass
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from mlops_assets.core.drift.policy import DriftPolicy
from mlops_assets.core.drift.statistics import LARGEST_JS, LARGEST_PSI, jensen_shannon, psi
from mlops_assets.core.limits.ranges import LARGEST, Length, Range
from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.settings_kinds import COMPONENTS
from mlops_assets.core.sources.contract import Column
from mlops_assets.core.stats.metric_limits import drops_of, limits_of
from mlops_assets.core.stats.metrics import METRICS, metric

MODEL: dict[str, Any] = {
    "name": "m",
    "description": "One row.",
    "task": "binary",
    "label": {"model": "lbl", "column": "y"},
    "features": ["f"],
    "metric": "roc_auc",
    "start": "2013-01-01",
}
SOURCE: dict[str, Any] = {
    "name": "s",
    "description": "One row.",
    "event_time": "at",
    "start": "2013-01-01",
    "contract": {"columns": {"at": {"type": "timestamp"}}},
}
BASE = {
    "MonitoredModel": MODEL,
    "MonitoredFleet": {**MODEL, "per": "region"},
    "LandingSource": SOURCE,
    "StreamSource": {**SOURCE, "stream": {"topic": "t"}},
}
# Texts with lengths in them are read by rules of their own, and have tests of their own.
OTHER_LENGTHS = {"training.window", "monitoring.window"}
# Fields that follow from others, and are refused as such.
DERIVED = {"retrain.window", "retrain.timezone"}


def numbers_of(kind: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Range | Length | None]]:
    """The place of each number and length of a kind of settings, and its range."""
    for name, hint in get_type_hints(kind, include_extras=True).items():
        if get_origin(hint) is not None or isinstance(hint, type):
            yield from in_hint(hint, (*place, name))


def in_hint(hint: Any, place: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], Range | Length | None]]:
    if get_origin(hint) is Annotated:
        written, *notes = get_args(hint)
        if ranges := [note for note in notes if isinstance(note, Range | Length)]:
            yield place, ranges[0]
        else:
            yield from in_hint(written, place)
    elif get_origin(hint) in (Union, UnionType):
        for part in get_args(hint):
            yield from in_hint(part, place)
    elif get_origin(hint) is dict:
        yield from in_hint(get_args(hint)[1], (*place, {"limits": "recall", "columns": "at"}.get(place[-1], "wrong")))
    elif get_origin(hint) in (list, tuple):
        yield from in_hint(get_args(hint)[0], (*place, 0))
    elif hint in (int, float):
        yield place, None
    elif isinstance(hint, type) and (is_dataclass(hint) or issubclass(hint, BaseModel)):
        yield from numbers_of(hint, place)


FIELDS = [
    (kind, place, allowed)
    for kind, settings in COMPONENTS.items()
    for place, allowed in numbers_of(settings)
    if ".".join(map(str, place)) not in DERIVED
    # What a fleet shares with a model is the same type.
    and (kind != "MonitoredFleet" or place[0] not in ModelSettings.model_fields)
]


def refusal(kind: str, place: tuple[Any, ...], value: Any) -> str:
    """The errors of one document; empty where it is read."""
    document: Any = value
    for part in reversed(place):
        document = [document, 7] if part == 0 else {part: document}
    try:
        COMPONENTS[kind].model_validate(merged(BASE[kind], document))
    except ValidationError as error:
        return str(error)
    return ""


def merged(base: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    both = {**base, **other}
    for name in base.keys() & other.keys():
        if isinstance(base[name], dict) and isinstance(other[name], dict):
            both[name] = merged(base[name], other[name])
    return both


def test_every_number_of_the_settings_has_a_range() -> None:
    names = {".".join(map(str, place)) for _, place, _ in FIELDS}
    assert names > {"monitoring.drift.psi", "gate.min_value", "retrain.cooldown", "rollout.canary.0", "label.max_delay"}
    # Parameters are the families' own (tests/core/models).
    without = {".".join(map(str, place)) for _, place, allowed in FIELDS if allowed is None}
    assert without <= {"training.params.wrong", "training.params.wrong.0", "contract.columns.at.null_values.0"}


@pytest.mark.parametrize("wrong", [math.inf, -math.inf, math.nan, "much", True, 10**400, [3]], ids=str)
@pytest.mark.parametrize(
    ("kind", "place", "allowed"),
    [pytest.param(*field, id=f"{field[0]}-{'.'.join(map(str, field[1]))}") for field in FIELDS if field[2]],
)
def test_what_is_no_number_in_the_range_is_refused_by_name(
    kind: str, place: tuple[Any, ...], allowed: Range | Length, wrong: Any
) -> None:
    error = refusal(kind, place, wrong)
    name = [part for part in place if part != 0][-1]
    assert name in error
    assert "for example" in error


@pytest.mark.parametrize(
    ("kind", "place", "allowed"),
    [pytest.param(*f, id=f"{f[0]}-{'.'.join(map(str, f[1]))}") for f in FIELDS if isinstance(f[2], Range)],
)
def test_the_ends_of_a_range_hold(kind: str, place: tuple[Any, ...], allowed: Range) -> None:
    below, above = math.nextafter(allowed.least, -math.inf), math.nextafter(allowed.most, math.inf)
    for outside in (below, above, *[allowed.least] * allowed.above, *[allowed.most] * allowed.below):
        whole = math.floor(outside) if outside < allowed.least else math.ceil(outside)
        assert "for example" in refusal(kind, place, whole if allowed.whole else outside)
    assert allowed.fault(allowed.example) == ""


@pytest.mark.parametrize(
    ("kind", "place", "allowed"),
    [pytest.param(*f, id=f"{f[0]}-{'.'.join(map(str, f[1]))}") for f in FIELDS if isinstance(f[2], Range)],
)
def test_a_number_in_scientific_notation_is_read_as_that_number(
    kind: str, place: tuple[Any, ...], allowed: Range
) -> None:
    # YAML 1.1 reads all of these as texts: https://yaml.org/type/float.html asks for a point and a sign.
    for text in (f"{allowed.example}e0", "-1e13", "1e400"):
        as_text, as_float = refusal(kind, place, text), refusal(kind, place, float(text))
        assert "which is no number" not in as_text
        assert bool("for example" in as_text) is bool("for example" in as_float)


def test_scientific_notation_is_read_where_a_number_stands() -> None:
    written = yaml.safe_load(
        """
        training: {families: [sgd], search: grid, params: {alpha: [1e-05, 1e-4], eta0: 1e-2}, max_rounds: 1e3}
        monitoring: {drift: {ks_p: 1e-3, psi: null}, costs: {true_positive: 1e2, false_positive: -1e1,
          false_negative: 0, true_negative: 0}}
        retrain: {budget: 1e1, min_gain: 1e-3, on: [drift: {ks_p: 1e-4}, data: {rows: 1e4}]}
        rollout: {shadow: 1e1}
        description: 1e-3
        """
    )
    model = ModelSettings.model_validate({**MODEL, **written})
    assert model.training.params == {"alpha": [0.00001, 0.0001], "eta0": 0.01}
    assert (model.training.max_rounds, model.monitoring.drift.ks_p) == (1000, 0.001)
    assert model.monitoring.costs["true_positive"] == 100
    assert (model.retrain.budget, model.retrain.min_gain) == (10, 0.001)
    assert [trigger.name for trigger in model.retrain.on or ()] == ["drift (ks_p 0.0001)", "data (rows 10000)"]
    assert model.rollout is not None
    assert (model.rollout.shadow, model.description) == (10.0, "1e-3")


def test_limits_of_a_column_are_numbers_where_the_column_is_one() -> None:
    column = Column.from_dict("a", {"type": "number", "min": "1e-3", "max": "1e6", "usual": ["1e-2", "1e2"]})
    assert (column.min, column.max, column.usual) == (0.001, 1e6, (0.01, 100.0))
    assert Column("integer", allowed=("1e3", 7)).allowed == (1000, 7)
    assert Column("string", allowed=("1e3",)).allowed == ("1e3",)
    with pytest.raises(ValueError, match="write a number"):
        Column("number", max="1e400")


@pytest.mark.parametrize(
    ("kind", "place", "allowed"),
    [pytest.param(*f, id=f"{f[0]}-{'.'.join(map(str, f[1]))}") for f in FIELDS if isinstance(f[2], Length)],
)
def test_no_length_of_time_is_without_end(kind: str, place: tuple[Any, ...], allowed: Length) -> None:
    for outside in ("1000000d", "9" * 400 + "d", 7, "-1d", *["0d"] * allowed.above):
        assert "for example" in refusal(kind, place, outside)
    assert allowed.fault(allowed.example) == ""


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)), min_size=2, max_size=8))
def test_no_sample_has_a_statistic_beyond_its_range(counts: list[tuple[int, int]]) -> None:
    reference, current = zip(*counts, strict=True)
    if sum(reference) and sum(current):
        DriftPolicy(psi=min(psi(reference, current), LARGEST_PSI * 0.999), js=None)
        assert psi(reference, current) < LARGEST_PSI
        assert jensen_shannon(reference, current) <= LARGEST_JS + 1e-9


def test_what_shares_nothing_is_as_far_apart_as_can_be() -> None:
    # Shannon entropies of two disjoint sides and their mixture: the divergence is ln 2, the distance its root.
    assert jensen_shannon([5, 0], [0, 5]) == pytest.approx(math.sqrt(math.log(2.0)))


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_knows_its_limits(name: str) -> None:
    judge = metric(name)
    for task in judge.tasks:
        least, most = judge.bounds(task)
        allowed = limits_of(judge, task)
        assert judge.perfect in (least, most)
        assert allowed.fault(judge.usual) == ""
        for end in (least, most):
            assert allowed.fault(end), "nothing is beyond the best value or the worst"
        assert bool(drops_of(judge, task).fault(1.0)) is (judge.greater_is_better and least == 0.0)


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"monitoring": {"performance": {"floor": 3}}}, "monitoring.performance.floor is 3"),
        ({"monitoring": {"performance": {"max_drop": 4}}}, "monitoring.performance.max_drop is 4"),
        ({"monitoring": {"limits": {"accuracy": {"floor": 1.5}}}}, "monitoring.limits.accuracy.floor is 1.5"),
        ({"monitoring": {"limits": {"brier": {"floor": 1.5}}}}, "monitoring.limits.brier.floor is 1.5"),
        ({"monitoring": {"limits": {"recall": {"max_drop": 1}}}}, "monitoring.limits.recall.max_drop is 1"),
        ({"monitoring": {"fairness": {"by": ["a"], "max_difference": 1.5}}}, "fairness.max_difference is 1.5"),
        ({"gate": {"min_value": 1.0}}, "gate.min_value is 1"),
        ({"gate": {"rule": "absolute", "min_gain": 1.0}}, "gate.min_gain is 1"),
        ({"rollout": {"max_drop": 2}}, "rollout.max_drop is 2"),
        ({"training": {"floor": 85}}, "training.floor is 85"),
        ({"retrain": {"on": [{"performance": {"max_drop": 1.0}}]}}, "performance.max_drop is 1"),
        ({"monitoring": {"costs": {"true_positive": math.inf}}}, "write a number, for example 5"),
    ],
)
def test_a_limit_is_held_against_its_metric(fields: dict[str, Any], error: str) -> None:
    with pytest.raises(ValidationError, match=error) as refused:
        ModelSettings.model_validate({**MODEL, **fields})
    assert "for example" in str(refused.value)


@pytest.mark.parametrize(
    ("fields", "example"),
    [
        ({"monitoring": {"performance": {"floor": math.nan}}}, "for example 0.8 of roc_auc, or 20 of rmse"),
        ({"gate": {"min_value": True}}, "for example 0.8 of roc_auc, or 20 of rmse"),
        ({"training": {"floor": True}}, "for example 0.85, or preset, both of roc_auc; 20 of rmse"),
    ],
)
def test_what_is_no_limit_of_any_metric_is_answered_with_an_example_of_both_kinds(
    fields: dict[str, Any], example: str
) -> None:
    with pytest.raises(ValidationError, match=example):
        ModelSettings.model_validate({**MODEL, "task": "regression", "metric": "rmse", **fields})


def test_an_error_may_grow_many_times_over() -> None:
    limits = {"calibration_error": {"max_drop": 3}, "log_loss": {"floor": 5}}
    ModelSettings.model_validate({**MODEL, "monitoring": {"limits": limits}})
    of_classes = {**MODEL, "task": "multiclass", "monitoring": {"limits": {"brier": {"floor": 1.5}}}}
    assert ModelSettings.model_validate(of_classes).limits["brier"].floor == 1.5


def test_what_is_usual_is_in_words() -> None:
    assert Range(0, 1, 0.05).fault(3) == "is 3: write a number from 0 to 1, for example 0.05"
    assert Range(0, LARGEST, 20, above=True).fault(math.inf) == "is inf: write a number above 0, for example 20"
    assert Range(1, 50, 3, whole=True).fault(2.5) == "is 2.5: write a whole number from 1 to 50, for example 3"
    assert Range(0, 9, 1, words=("never",)).fault("always").endswith("for example 1, or never")
    assert Length("0d", "30d", "7d").fault("31d").startswith("is 31d: write a length of time from 0d to 30d")
