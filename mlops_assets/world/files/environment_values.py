"""Values of `defs.yaml` that stand in the environment: `"{{ env.NAME }}"`, as in Dagster's own components.

Here: putting them in, for whoever reads the files with Dagster and without, and the schema that allows them. Not here:
the files (`declared_files`), the fields (`core.settings`).

A value stands there as if it were written in the file: `"{{ env.TRIALS }}"` with 30 in the environment is the number
30. Dagster reads a variable that is not set as null; here it is a mistake of the file, which names it.
"""

from __future__ import annotations

import os
import re
from functools import cache
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, model_validator

from mlops_assets.core.limits.scientific_notation import SCIENTIFIC

M = TypeVar("M", bound=BaseModel)
FieldPath = tuple[str | int, ...]
_TEMPLATE = re.compile(r"\{\{\s*([^{}]*?)\s*\}\}")
_OPEN = "{{"
_PROSE = "description"
"""The field in which braces may be meant as they stand."""
_NAMED = re.compile(
    r"""env\.(?P<name>[A-Za-z_]\w*)"""
    r"""|env\(\s*(['"])(?P<called>[A-Za-z_]\w*)\2\s*(,\s*(['"])(?P<else>.*?)\5\s*)?\)"""
)
_PATTERN = r"\{\{\s*env\b"
_OUTSIDE = ("title", "description", "default")
"""What a schema says of a field, whatever it holds."""


class WrongVariable(ValueError):
    """A value names no variable, or one that is not set."""


def put_in(values: Any) -> tuple[Any, list[tuple[FieldPath, str]]]:
    """The values of a document with those of the environment in their places, and what is wrong where."""
    faults: list[tuple[FieldPath, str]] = []
    return _put_in(values, (), faults), faults


@cache
def reading_environment(settings: type[M]) -> type[M]:
    """The settings as a Dagster component reads them out of YAML: with values of the environment put in first."""

    class FromEnvironment(settings):  # type: ignore[valid-type, misc]
        @model_validator(mode="before")
        @classmethod
        def _from_environment(cls, values: Any) -> Any:
            known, faults = put_in(values)
            if faults:
                raise ValueError("; ".join(f"{'.'.join(map(str, place))}: {why}" for place, why in faults))
            return known

        @classmethod
        def model_json_schema(cls, *options: Any, **named: Any) -> dict[str, Any]:
            """The schema, in which any single value may stand in the environment."""
            schema: dict[str, Any] = _allowing(super().model_json_schema(*options, **named))
            return schema

    FromEnvironment.__name__, FromEnvironment.__doc__ = settings.__name__, settings.__doc__
    return FromEnvironment


def _put_in(values: Any, place: FieldPath, faults: list[tuple[FieldPath, str]]) -> Any:
    if isinstance(values, dict):
        # YAML 1.1 reads the bare key `on` as true; a person looks for what is written.
        return {key: _put_in(value, (*place, "on" if key is True else key), faults) for key, value in values.items()}
    if isinstance(values, list):
        return [_put_in(value, (*place, number), faults) for number, value in enumerate(values)]
    if not isinstance(values, str) or _OPEN not in values:
        return values
    if place[-1:] == (_PROSE,) and not any(part.startswith("env") for part in _TEMPLATE.findall(values)):
        return values
    if place == ("name",):
        faults.append((place, "a name cannot stand in the environment: tables and records are called by it. Write it."))
        return values
    try:
        return _value(values)
    except WrongVariable as why:
        faults.append((place, str(why)))
        return values


def _value(text: str) -> Any:
    """A value as if it were written; within a longer text, as that text.

    Raises:
        WrongVariable: it names no variable, or one that is not set.
    """
    if _OPEN in _TEMPLATE.sub("", text):
        raise WrongVariable(f"{text[:100]!r} opens {{{{ and does not close it: write {{{{ env.NAME }}}}.")
    whole = _TEMPLATE.fullmatch(text)
    if whole is None:
        return _TEMPLATE.sub(lambda part: _read(part[1]), text)
    written = _read(whole[1])
    try:
        value = yaml.safe_load(written)
    except (yaml.YAMLError, ValueError):  # no YAML, or a date that there is not: a text
        return written
    return written if isinstance(value, dict | list) else value


def _read(expression: str) -> str:
    named = _NAMED.fullmatch(expression)
    if named is None:
        raise WrongVariable(
            f"{{{{ {expression[:100]} }}}} names no environment variable: write {{{{ env.NAME }}}}, or "
            "{{ env('NAME', 'default') }}."
        )
    name = named["name"] or named["called"]
    value = os.environ.get(name, named["else"])
    if value is None:
        raise WrongVariable(
            f"the environment variable {name} is not set. Set it for every process of the platform, or write "
            f"{{{{ env('{name}', 'default') }}}}."
        )
    return value


def _allowing(schema: Any) -> Any:
    """A JSON schema in which each single value may be a text that names a variable, and a number one as `1e-05`."""
    if isinstance(schema, list):
        return [_allowing(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    is_value = schema.get("type") in ("integer", "number", "boolean", "string") or "enum" in schema or "const" in schema
    if is_value and (schema.get("type") != "string" or schema.keys() & {"format", "pattern", "enum", "const"}):
        outside = {key: schema[key] for key in _OUTSIDE if key in schema}
        inside = {key: value for key, value in schema.items() if key not in _OUTSIDE}
        texts = [_PATTERN, *([SCIENTIFIC] if schema.get("type") in ("integer", "number") else [])]
        return {**outside, "anyOf": [inside, *({"type": "string", "pattern": text} for text in texts)]}
    kept = ("default", "examples", "propertyNames")
    return {key: value if key in kept else _allowing(value) for key, value in schema.items()}
