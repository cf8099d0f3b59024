"""The times of entity rows: read as everywhere; numbers are refused with their row, where they were days of 1970."""

from __future__ import annotations

import pandas as pd
import pytest

from mlops_assets.feast_store.entity_rows import Frame
from tests.feast_store.conftest import Repo

HISTORY = [(1, 0, 0, 0.1, 1), (1, 2, 2, 0.2, 2)]


@pytest.mark.parametrize(
    "written",
    ["{:%Y-%m-%d %H:%M:%S} UTC", "{:%Y-%m-%d %H:%M:%S}+00", "{:%Y-%m-%dT%H:%M:%SZ}", "{:%d %b %Y %H:%M}"],
)
def test_texts_are_the_moments_that_they_tell(repo: Repo, written: str) -> None:
    rows = repo.drivers([(1, 1), (1, 3)])
    texts = rows.assign(event_timestamp=[written.format(at) for at in rows["event_timestamp"]])
    store = repo.store(repo.view(repo.stats(HISTORY)))
    found = store.get_historical_features(entity_df=texts, features=["stats:rate"]).to_df()
    assert found["rate"].tolist() == [0.1, 0.2]


@pytest.mark.parametrize(
    ("cells", "told"),
    [
        (
            [1_704_067_200, 1_704_067_201],
            r"1704067200 in row 1, which is no time \(1704067200 may be seconds since 1970",
        ),
        ([None, 1_704_067_200_000.0], r"1704067200000\.0 in row 2, .* may be milliseconds since 1970, 2024-01-01\)"),
        (["2024-01-01", "04/05/2024"], r"04/05/2024 in row 2, which is no time \(04/05/2024 has the day or the month"),
    ],
)
def test_what_is_no_time_is_refused_with_its_row(cells: list[object], told: str) -> None:
    with pytest.raises(ValueError, match=f"event_timestamp of the entity rows is {told}.*Nothing was read"):
        Frame.from_pandas(pd.DataFrame({"event_timestamp": cells, "driver_id": [1, 2]}))


def test_sql_that_gives_numbers_for_times_is_refused(repo: Repo) -> None:
    store = repo.store(repo.view(repo.stats(HISTORY)))
    entity_rows = "SELECT 1 AS driver_id, 1704067200 AS event_timestamp"
    with pytest.raises(ValueError, match=r"event_timestamp of the entity rows is 1704067200 in row 1.*to_timestamp"):
        store.get_historical_features(entity_df=entity_rows, features=["stats:rate"]).to_df()
