"""A form takes less than what explains bodies, never more, and reads what it takes alike."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from pydantic import ValidationError

from mlops_assets.core.models.row_scoring import why_not
from mlops_assets.serving.engine.row_checks import check_entities
from mlops_assets.serving.errors import Refused
from mlops_assets.serving.http.forms import Form, Misfit, read_inference, read_rows
from mlops_assets.serving.http.oip_api import InferRequest
from mlops_assets.serving.http.predict_api import PredictRequest
from tests.serving.conftest import columns, contract, features

CONTRACT = contract()
COLUMNS = {column.name: column for column in columns()}
FORM = Form(COLUMNS)
NUMBER = next(name for name, column in COLUMNS.items() if column.kind == "numeric")
TEXT = next(name for name, column in COLUMNS.items() if column.kind == "categorical")
# Texts as they stand in a body; some are no JSON.
ODD = [
    "1", "-0.0", "1e5", "1E400", "-1e39", "3.4e38", "9007199254740993", "1" * 30, "1" * 400, "NaN", "-Infinity", "true",
    "null", '""', '"UA"', '"\\u00e9"', '"a:b"', '"\\ud800"', '"\\u0000"', '"\u2028"', f'"{"x" * 1001}"', "[]",
    "{}", "01", "+1", ".5", "1.", "'a'", "", '"a\nb"', '"2013-01-05T17:00:00Z"',
    '"2013-01-05T17:00:00.1234567Z"', '"2013-01-05"',
    '"2013-01-05T17:00:00+24:00"', '"2013-02-30T00:00:00Z"', '"2013-01-05t17:00:00z"', '"2013-01-05T17:00:60Z"',
    '"\u0662013-01-05T17:00:00Z"', "1357400000",
]  # fmt: skip


def bodies(count: int) -> list[bytes]:
    """A right body, and what random hands make of it."""
    rng = random.Random(0)
    rows = [features(seed) for seed in range(9)]
    made = []
    for _ in range(count):
        values = {name: json.dumps(value) for name, value in rng.choice(rows).items()}
        row = {"entities": '{"carrier": "UA"}', "event_timestamp": '"2013-01-05T17:00:00+01:00"'}
        for _ in range(rng.choice([0, 1, 1, 2])):
            where = rng.choice(["value", "value", "value", "drop", "extra", "time", "key", "twice", "space"])
            name, odd = rng.choice(list(values)), rng.choice(ODD)
            match where:
                case "value":
                    values[name] = odd
                case "drop":
                    del values[name]
                case "extra":
                    values["nobody"] = odd
                case "time":
                    row["event_timestamp"] = odd
                case "key":
                    row["entities"] = '{"carrier": ' + odd + "}"
                case "twice":
                    values[name] += f', "{name}" : {odd}'
                case "space":
                    values[name] = rng.choice([" ", "\n", "\t", "\r"]) + values[name]
        inside = ", ".join(f'"{name}": {value}' for name, value in values.items())
        fields = ", ".join(f'"{name}": {value}' for name, value in {"features": "{" + inside + "}", **row}.items())
        made.append(('{"rows": [{' + fields + "}]}").encode("utf-8", "surrogatepass"))
    return made


def explained(body: bytes) -> Any:
    """The row as pydantic reads it and the model takes it; None for neither."""
    try:
        (row,) = PredictRequest.model_validate_json(body).rows
        check_entities(CONTRACT, row.entities, 0)
    except (ValidationError, Refused):
        return None
    if any(name not in COLUMNS or why_not(COLUMNS[name], value) for name, value in row.features.items()):
        return None
    return row


def read(values: dict[str, Any]) -> dict[str, Any]:
    """Values as model and log have them: a number is a double."""
    return {
        name: float(value) if type(value) is int and COLUMNS[name].kind == "numeric" else value
        for name, value in values.items()
    }


def test_forms_take_less_and_read_it_alike() -> None:
    taken = {"whole": 0, "any": 0}
    for body in bodies(4_000):
        row = explained(body)
        try:
            whole = FORM.read(body)
            check_entities(CONTRACT, whole.entities, 0)
        except (Misfit, Refused):
            pass
        else:
            taken["whole"] += 1
            assert row is not None, body
            assert read(dict(zip(FORM.names, whole.values, strict=True))) == read(row.features), body
            assert (whole.entities, whole.event_time) == (row.entities, row.event_timestamp), body
            # What goes into the log says the same, on one line.
            assert read(json.loads(whole.text)) == read(row.features)
            assert b"\n" not in whole.text
            assert b"\r" not in whole.text
        try:
            (found,) = read_rows(body)
            check_entities(CONTRACT, found.entities, 0)
            if any(n not in COLUMNS or why_not(COLUMNS[n], v) for n, v in found.features.items()):
                continue
        except (Misfit, Refused):
            continue
        taken["any"] += 1
        assert row is not None, body
        assert read(found.features) == read(row.features), body
        assert (found.entities, found.event_time) == (row.entities, row.event_timestamp), body
    # Most right bodies are taken: about a third of these have nothing done to them.
    assert min(taken.values()) > 1_000, taken


@pytest.mark.parametrize(
    "text",
    [
        # Whichever of the two the log would keep, the model read the other.
        f'"{NUMBER}": 1, "{NUMBER}": 2',
        f'"{NUMBER}" : 1, "{NUMBER}":2',
        # The log would have two lines of it.
        f'"{NUMBER}":\n1',
        f'"{TEXT}": "a:b"',
        f'"{TEXT}": "\\u0041"',
        f'"{TEXT}": 1.5',
        f'"{NUMBER}": true',
        f'"{NUMBER}": "1"',
    ],
)
def test_what_the_log_or_the_model_could_read_otherwise_is_left_to_others(text: str) -> None:
    name = TEXT if TEXT in text else NUMBER
    others = json.dumps({n: v for n, v in features().items() if n != name})[1:-1]
    body = '{"rows": [{"features": {' + others + ", TEXT}}]}"
    good = body.replace("TEXT", f'"{name}": null')
    assert FORM.read(good.encode()).values[FORM.names.index(name)] is None
    with pytest.raises(Misfit):
        FORM.read(body.replace("TEXT", text).encode())


@pytest.mark.parametrize(
    "body",
    [
        '{"inputs": [{"name": "x", "shape": [1], "datatype": "FP64", "data": [1.5]}]}',
        '{"id": "a", "inputs": [{"name": "x", "shape": [2, 1], "datatype": "BYTES", "data": [["a"], null]}], '
        '"outputs": [{"name": "score", "parameters": {"binary_data": false}}], "parameters": {"k": 1}}',
    ],
)
def test_the_protocol_is_read_alike(body: str) -> None:
    found, expected = read_inference(body.encode()), InferRequest.model_validate_json(body)
    assert (found.id, found.parameters) == (expected.id, expected.parameters)
    for name in ("name", "shape", "datatype", "data", "parameters"):
        assert [getattr(each, name) for each in found.inputs] == [getattr(each, name) for each in expected.inputs]
    assert [each.name for each in found.outputs] == [each.name for each in expected.outputs]


@pytest.mark.parametrize("body", ["", "[]", '{"inputs": []}', '{"inputs": [{"name": "x"}]}', '{"rows": []}', "\xff"])
def test_what_is_no_request_fits_no_form(body: str) -> None:
    for reading in (read_inference, read_rows, FORM.read):
        with pytest.raises(Misfit):
            reading(body.encode("latin-1"))
