"""How a candidate takes over step by step, and whom it answers meanwhile."""
