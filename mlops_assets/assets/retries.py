"""How often a step is tried again whose outside systems may be away for a moment, and what is never tried again."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

OUTSIDE_RETRY = dg.RetryPolicy(max_retries=3, delay=1, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS)
"""For assets that touch the outside: a failing disk is tried again; a broken contract is no exception."""


@contextmanager
def mistakes_are_not_retried() -> Iterator[None]:
    """End a step at once where the settings or the data are at fault: the same ones fail in the same way.

    Raises:
        dagster.Failure: with the sentence of the error, and no retries.
    """
    from mlops_assets.core.limits.ranges import WrongSetting
    from mlops_assets.core.models.families.xgboost import NoGpu
    from mlops_assets.core.models.matrix import CannotTrain, WrongColumns
    from mlops_assets.core.stats.intervals import CannotJudge
    from mlops_assets.steps.predict.predictions import CannotScore

    try:
        yield
    except (CannotTrain, CannotJudge, WrongColumns, WrongSetting, CannotScore, NoGpu) as error:
        raise dg.Failure(description=str(error), allow_retries=False) from error
