"""Watching: reports on drift, performance, labels, fairness and skew, window by window."""
