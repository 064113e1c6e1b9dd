"""`python -m s2a_jax`."""

from s2a_jax.cli import main

if __name__ == "__main__":
    main(program="python -m s2a_jax {command}")
