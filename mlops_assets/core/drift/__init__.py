"""Has the data moved: profiles on a fixed grid, their statistics, and a verdict by an agreed policy.

Prediction drift is the same code on the score column. The parts, in the order of the work:

- `grid`: bins laid over a reference; `sampled_grid`: over one too large to hold.
- `profile`: counts of rows on the grid, which add up.
- `statistics`: the formulas; `feature_drift`: all of them for every feature, each with its error.
- `policy`: presets, limits, verdict.
- `pages.drift`: a page to look at.

Not here: whether the drift matters to the model (`performance.window_metrics`, `policy`).
"""
