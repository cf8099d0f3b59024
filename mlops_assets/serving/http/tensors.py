"""Columns of the Open Inference Protocol as rows.

Here: shapes, types and values of input tensors, and the rows that they make. Not here: paths and bodies (`oip_api`),
tensors as bytes (`binary_tensors`), what a model takes of a value (`scoring`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol

from mlops_assets.core.models.row_scoring import FLOAT32_MAX
from mlops_assets.serving.engine.arms import Arms
from mlops_assets.serving.engine.members import Members
from mlops_assets.serving.errors import Refused
from mlops_assets.serving.http.predict_api import check_rows, moment
from mlops_assets.serving.log.records import LoggedRow
from mlops_assets.world.model_data import EVENT_TIME


class Input(Protocol):
    """One column: `oip_api.InferInput`, or what `forms` reads."""

    name: str
    shape: list[int]
    datatype: Any
    data: list[Any]


def rows_of(inputs: Sequence[Input], arms: Arms, most: int, members: Members | None = None) -> list[LoggedRow]:
    """The rows that the columns make.

    Raises:
        Refused: a shape, a name or a value is wrong.
        WrongBody: there are too many rows.
    """
    n = inputs[0].shape[0]
    check_rows(n, most)
    if n == 0:
        raise Refused(("inputs", 0, "shape"), "has no rows; send one at least")
    columns: dict[str, list[Any]] = {}
    for place, tensor in enumerate(inputs):
        if tensor.name in columns:
            raise Refused(("inputs", place, "name"), "is there twice")
        columns[tensor.name] = _values(tensor, place, n)
    times = [moment_of(value, index) for index, value in enumerate(columns.pop(EVENT_TIME, [None] * n))]
    named = {*arms.contract.keys, *([members.per] if members else [])}
    keys = [name for name in columns if name in named]
    brought = [name for name in columns if name not in named]
    return [
        LoggedRow({key: columns[key][i] for key in keys}, {name: columns[name][i] for name in brought}, times[i])
        for i in range(n)
    ]


def _values(tensor: Input, place: int, n: int) -> list[Any]:
    if tensor.shape[0] != n or tensor.shape[1:] not in ([], [1]):
        raise Refused(("inputs", place, "shape"), f"must be [{n}] or [{n}, 1], as the first input has {n} rows")
    values = [v[0] if isinstance(v, list) and len(v) == 1 else v for v in tensor.data]
    if len(values) != n:
        raise Refused(("inputs", place, "data"), f"has {len(values):,} values, its shape says {n:,}")
    for index, value in enumerate(values):
        if value is not None and not _is_of(tensor.datatype, value):
            raise Refused(("inputs", place, "data", index), f"is no {tensor.datatype}")
    return values


def _is_of(datatype: str, value: Any) -> bool:
    if datatype == "BYTES":
        return type(value) is str
    if datatype == "BOOL":
        return type(value) is bool
    if datatype.startswith("FP"):
        return type(value) in (int, float) and -FLOAT32_MAX <= value <= FLOAT32_MAX and not math.isnan(value)
    bits = int(datatype.removeprefix("U").removeprefix("INT"))
    low, high = (0, 2**bits) if datatype.startswith("U") else (-(2 ** (bits - 1)), 2 ** (bits - 1))
    return type(value) is int and low <= value < high


def moment_of(value: Any, index: int) -> datetime | None:
    """A value of `event_timestamp` as the moment that it tells.

    Raises:
        Refused: it tells none.
    """
    if value is None:
        return None
    try:
        return moment(value if isinstance(value, str) else "")
    except ValueError as error:
        raise Refused(("rows", index, EVENT_TIME), f"{error}, as BYTES") from error
