"""`python -m s2a_jax`."""

from s2a_jax.starting import ends_at_once, interrupts, leave


def main() -> int:
    """Runs the command line; returns the exit code."""
    interrupts()
    with ends_at_once():  # the commands import for a second
        from s2a_jax import cli
    return cli.main()


if __name__ == "__main__":
    leave(main())
