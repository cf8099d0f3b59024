"""How well a model does: metrics by window, estimates before labels, fairness, limits."""
