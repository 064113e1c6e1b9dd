"""Losses and the balancing of the two tasks, as pure functions on arrays."""
