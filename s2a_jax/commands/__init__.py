"""The commands of `python -m s2a_jax`: one file each, with `add_flags` for its flags and `run`."""
