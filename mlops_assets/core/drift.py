"""Has the data moved: profiles on a fixed grid, their statistics, and a verdict by an agreed policy.

Here: the one name under which the rest of the platform knows drift. Prediction drift is the same code on the
score column. The parts, in the order of the work:

- `drift_grid`: bins laid over a reference; `drift_sample`: over one too large to hold.
- `drift_profile`: counts of rows on the grid, which add up.
- `drift_statistics`: the formulas; `drift_compare`: all of them for every feature, each with its error.
- `drift_policy`: presets, limits, verdict.
- `drift_page`: a page to look at.

Not here: whether the drift matters to the model (`performance`, `policy`).
"""

from mlops_assets.core.drift_compare import PSI_BINS, FeatureDrift, compare
from mlops_assets.core.drift_grid import (
    BINS,
    CELLS,
    MAX_CATEGORIES,
    MIN_REFERENCE_ROWS,
    CategoryGrid,
    FeatureGrid,
    Grid,
    Kind,
    NumericGrid,
    Unjudged,
    infer_schema,
    kind_of,
)
from mlops_assets.core.drift_policy import KL_LIMIT, DriftPolicy, DriftVerdict, drift_verdict
from mlops_assets.core.drift_profile import Profile
from mlops_assets.core.drift_statistics import (
    EFFECTIVE_ROWS,
    EMPTY_SHARE,
    chi_squared,
    jensen_shannon,
    ks_p_value,
    kullback_leibler,
    psi,
)

__all__ = [
    "BINS",
    "CELLS",
    "EFFECTIVE_ROWS",
    "EMPTY_SHARE",
    "KL_LIMIT",
    "MAX_CATEGORIES",
    "MIN_REFERENCE_ROWS",
    "PSI_BINS",
    "CategoryGrid",
    "DriftPolicy",
    "DriftVerdict",
    "FeatureDrift",
    "FeatureGrid",
    "Grid",
    "Kind",
    "NumericGrid",
    "Profile",
    "Unjudged",
    "chi_squared",
    "compare",
    "drift_verdict",
    "infer_schema",
    "jensen_shannon",
    "kind_of",
    "ks_p_value",
    "kullback_leibler",
    "psi",
]
