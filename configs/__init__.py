"""Configurations: every field in `default.py`, one file for each data set."""
