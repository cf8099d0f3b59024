"""How the world is touched: one module or folder for each outside system."""
