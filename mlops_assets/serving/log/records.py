"""A prediction as one row of the lake, and as one line of the spool.

Here: its columns, their SQL types, its JSON. Not here: when it is written (`scoring`), and where (`spool`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from mlops_assets.steps.predict.scoring_versions import ARM, BASELINE, OWN, SCORE, SERVED_BY, VERSION
from mlops_assets.world.model_data import EVENT_TIME

if TYPE_CHECKING:
    from mlops_assets.serving.engine.arms import Arm, Arms

TYPES: dict[str, str] = {"numeric": "DOUBLE", "categorical": "VARCHAR", "boolean": "BOOLEAN"}
_encoder = msgspec.json.Encoder()


@dataclass(frozen=True)
class LoggedRow:
    """One row as sent.

    Attributes:
        entities: entity keys, as far as the caller names them.
        features: values that the caller brings, `<view>__<feature>`.
        event_time: when the event is; None for now.
    """

    entities: Mapping[str, Any] = field(default_factory=dict)
    features: Mapping[str, Any] = field(default_factory=dict)
    event_time: datetime | None = None


@dataclass(frozen=True)
class Answer:
    """One prediction.

    Attributes:
        id: of the prediction, in the log and in the answer.
        score: binary: probability of class 1; regression: value; multiclass: the largest probability.
        scores: multiclass: probability of each class; else empty.
        arm: who answered.
        event_time: of the row.
        feature_times: view -> event time of what the online store had, None where it had nothing; views whose
            features all came with the request are not named.
        values: what was scored.
        own: what the champion itself said, one score or one for each class, where guessing answered in its place.
        reason: why it did; empty where the arm answered itself.
        model: whose arm that is; a member of the fleet that was asked, where the row is its own.
        missing: views of which the online store had nothing, where the answer says so (`serving.on_missing`).
    """

    id: str
    score: float
    scores: Sequence[float]
    arm: Arm
    event_time: datetime
    feature_times: Mapping[str, datetime | None]
    values: Mapping[str, Any]
    own: tuple[float, ...] = ()
    reason: str = ""
    missing: tuple[str, ...] = ()
    model: str = ""


def record(arms: Arms, row: LoggedRow, answer: Answer) -> dict[str, Any]:
    """A prediction as one row of the lake."""
    features = {name: _logged(answer.values.get(name), column.kind) for name, column in arms.columns.items()}
    return {**_frame(arms, row.entities, answer), **features}


def line(row: Mapping[str, Any]) -> bytes:
    """A row of the lake as a line of the spool."""
    return _encoder.encode(row) + b"\n"


def whole_line(arms: Arms, entities: Mapping[str, Any], answer: Answer, features: bytes) -> bytes:
    """The line of a row that brought every feature.

    Args:
        arms: of the model.
        entities: of the row.
        answer: to it.
        features: JSON object, each name once and without line breaks; goes in as it is.
    """
    return b"%s,%s\n" % (_encoder.encode(_frame(arms, entities, answer))[:-1], features[1:])


def _frame(arms: Arms, entities: Mapping[str, Any], answer: Answer) -> dict[str, Any]:
    """All columns but the features."""
    contract = arms.contract
    return {
        "prediction_id": answer.id,
        "predicted_at": datetime.now(UTC),
        "partition": answer.event_time.astimezone(contract.zone).date(),
        ARM: answer.arm.name,
        VERSION: answer.arm.version,
        "is_identified": contract.keys.keys() <= entities.keys(),
        EVENT_TIME: answer.event_time,
        **{key: entities.get(key) for key in contract.keys},
        **{f"{view}__{EVENT_TIME}": time for view, time in answer.feature_times.items()},
        SCORE: answer.score,
        **{f"{SCORE}_{i}": score for i, score in enumerate(answer.scores)},
        **_instead(answer),
    }


def _instead(answer: Answer) -> dict[str, Any]:
    """That guessing answered, and what the champion said: monitors are about the champion."""
    if not answer.own:
        return {}
    classes = {f"{OWN}{SCORE}_{i}": score for i, score in enumerate(answer.own)} if len(answer.own) > 1 else {}
    return {SERVED_BY: BASELINE, f"{OWN}{SCORE}": max(answer.own), **classes}


def _logged(value: Any, kind: str) -> Any:
    if value is None or kind == "boolean":
        return value
    # Whole numbers may have more than 64 bits.
    return str(value) if kind == "categorical" else float(value)


def record_types(arms: Arms) -> dict[str, str]:
    """SQL types of the columns of `record`; a column that a line lacks is NULL."""
    contract = arms.contract
    scores = [SCORE, *(f"{SCORE}_{i}" for i in range(arms.classes))]
    return {
        "prediction_id": "VARCHAR",
        "predicted_at": "TIMESTAMPTZ",
        "partition": "DATE",
        ARM: "VARCHAR",
        VERSION: "BIGINT",
        "is_identified": "BOOLEAN",
        EVENT_TIME: "TIMESTAMPTZ",
        **{key: "VARCHAR" if dtype == "string" else "BIGINT" for key, dtype in contract.keys.items()},
        **{name: TYPES[column.kind] for name, column in arms.columns.items()},
        **{f"{view}__{EVENT_TIME}": "TIMESTAMPTZ" for view in contract.views},
        **dict.fromkeys(scores, "DOUBLE"),
        **({SERVED_BY: "VARCHAR", **{f"{OWN}{name}": "DOUBLE" for name in scores}} if arms.fallback else {}),
    }
