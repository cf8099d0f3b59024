"""The transformer of a model's own: the file that `training.pipeline` names, read for its recipes.

Here: finding and reading it, trying it, naming it where it is at fault. Not here: what is done with it
(`core.models.families.transformed`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from mlops_assets.core.limits.ranges import WrongSetting
from mlops_assets.core.models.families import Rows, family_called
from mlops_assets.core.models.matrix import CannotTrain, CannotTransform, TransformerFault, categories_of, encode
from mlops_assets.core.models.recipe import Recipe
from mlops_assets.core.settings import ModelSettings
from mlops_assets.world.model_data import LABEL
from mlops_assets.world.platform import Platform

_RECENT, _TRIED = timedelta(days=90), 5_000
"""Rows that a transformer is tried on: the newest ones, enough to fit on, and joined in a second or two."""
_LARGEST = 1_000_000
"""Bytes: a transformer that is not fitted has a few thousand, and it stands in every recipe."""


def transformer_of(platform: Platform, model: ModelSettings) -> str | None:
    """The transformer that recipes of a model get; None where none is agreed.

    Raises:
        WrongSetting: the file is not there, or holds none.
    """
    places = platform.pipeline_places(model)
    if not places:
        return None
    # A large library, for those alone who have a transformer.
    from mlops_assets.core.models.families.transformer import unfitted

    file = next((place for place in places if place.is_file()), None)
    if file is None:
        raise WrongSetting(
            f"training.pipeline of {model.name} names {places[0].name}, which is neither {places[0]} nor {places[1]}. "
            "Write it there with skops.io.dump, or remove the field. Nothing was trained; the champion is unchanged."
        )
    content = file.read_bytes()
    if len(content) > _LARGEST:
        raise WrongSetting(
            f"training.pipeline: {file} has {len(content):,} bytes, and {_LARGEST:,} are the most: write the pipeline "
            "before it is fitted. Nothing was trained; the champion is unchanged."
        )
    try:
        return unfitted(content, str(file))
    except ValueError as error:
        raise WrongSetting(f"training.pipeline: {error}. Nothing was trained; the champion is unchanged.") from error


def try_pipeline(platform: Platform, model: ModelSettings) -> None:
    """Fit the transformer on the newest labelled rows, as a training begins; nothing is kept.

    Raises:
        CannotTrain: it does not take them, or rows that may come later, or cannot be read back.
        WrongSetting: as of `transformer_of`.
    """
    transformer = transformer_of(platform, model)
    if transformer is None or not platform.lake.partitions("labels", model.label.model):
        return
    from mlops_assets.core.models.families.transformer import fit_transformer

    data, now = platform.data(model), platform.now(model)
    events = data.events((now - _RECENT).date(), as_of=now).dropna(subset=[LABEL]).tail(_TRIED)
    labels = events[LABEL].to_numpy()
    # Too few for what a training's rows are enough for: it would be refused for nothing.
    if len(labels) < min(_TRIED, model.training.min_rows) or len(set(labels)) < 2:
        return
    frame, columns, family = data.with_features(events), data.columns, model.training.families[0]
    categories = categories_of(frame, columns)
    recipe = Recipe(
        family=family,
        task=model.task,
        params=family_called(family).fixed(model.task, model.metric, labels),
        rounds=1,
        columns=tuple(columns),
        categories=categories,
        seed=model.training.seed,
        transformer=transformer,
    )
    with pipeline_named(platform, model):
        fit_transformer(recipe, Rows(encode(frame, columns, categories), labels))


@contextmanager
def pipeline_named(platform: Platform, model: ModelSettings) -> Iterator[None]:
    """Name the file in what is said of a transformer that is at fault.

    Raises:
        CannotTrain: it is.
    """
    try:
        yield
    except TransformerFault as error:
        raise CannotTrain(f"{platform.pipeline_name(model)}: {error.why}", error.remedy) from error
    except CannotTransform as error:
        raise CannotTrain(
            f"{platform.pipeline_name(model)}: the transformer does not take rows from after its fit ({error.why})",
            "Correct it so that it takes whatever values later rows have.",
        ) from error
