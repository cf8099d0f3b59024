"""What a request for a training sets for its candidate alone: fields of `training:`.

Here: checking them, and the model as a run trains it. Not here: the request (`retrain_events`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from pydantic import TypeAdapter, ValidationError

from mlops_assets.core.limits.ranges import WrongSetting
from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.settings_sections import TrainingSpec

PARAMETERS_TAG = "mlops/parameters"
"""Of a run: the fields of `training:` that its request has set, as JSON."""


def with_parameters(model: ModelSettings, parameters: Mapping[str, Any]) -> ModelSettings:
    """The model, with the fields of `training:` that a request has set.

    Raises:
        WrongSetting: one is no such field, or cannot be had.
    """
    if not parameters:
        return model
    try:
        training = TypeAdapter(TrainingSpec).validate_python({**asdict(model.training), **parameters})
    except ValidationError as error:
        first, fields = error.errors()[0], asdict(model.training)
        place, message = str(first["loc"][0]) if first["loc"] else "", first["msg"].removeprefix("Value error, ")
        if place and place not in fields:
            message = f"is no field; use fields of training: {', '.join(fields)}"
        # A rule of the policy's own names its field itself.
        raise WrongSetting(f"parameters: {f'{place}: {message}' if place else message}") from error
    training.check_task(model.task, model.metric)
    return model.model_copy(update={"training": training})


def as_asked(model: ModelSettings, tags: Mapping[str, str]) -> ModelSettings:
    """The model as the run with these tags trains it."""
    return with_parameters(model, json.loads(tags.get(PARAMETERS_TAG, "{}")))
