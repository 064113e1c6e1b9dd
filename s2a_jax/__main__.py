"""`python -m s2a_jax`."""

import sys

from s2a_jax.cli import main

if __name__ == "__main__":
    sys.exit(main())
