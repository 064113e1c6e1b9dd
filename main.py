"""Trains or evaluates one configuration, or shows what it would train on: `--help` explains.

python main.py --config configs/octa500.py --workdir runs/octa500
python main.py --mode=evaluate --workdir runs/octa500
python main.py --mode=preview --config configs/octa500.py --workdir runs/octa500

The same as `python -m s2a_jax train`.
"""

import sys

from s2a_jax.cli import main

if __name__ == "__main__":
    main(["train", *sys.argv[1:]], program="python main.py")
