"""Keeping: metrics, alarms, status, doctor, copies and cleaning."""
