"""Whether a challenger is better than the champion: the gate, its limits, and what came of it."""
