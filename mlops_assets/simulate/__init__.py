"""History run through the platform: replay, backtest, demos."""
