"""Losses and balancing of the two tasks, as pure functions on arrays."""
