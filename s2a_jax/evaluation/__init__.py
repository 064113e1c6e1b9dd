"""Scores of predictions against true masks: counts on the device, metrics on the host."""
