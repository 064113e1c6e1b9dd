#!/usr/bin/env bash
# Trains one configuration on several nodes: sbatch launch/slurm.sh --config FILE --workdir DIR ...
# One process a node takes all of its GPUs. JAX finds the other processes through SLURM; a job that
# is requeued resumes from the last checkpoint in the workdir, which all nodes must see.
#SBATCH --job-name=s2a_jax
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gres=gpu:8
#SBATCH --cpus-per-task=32
#SBATCH --time=24:00:00
#SBATCH --requeue
# SLURM sends SIGTERM two minutes before the end; the run saves within ten steps and exits.
#SBATCH --signal=TERM@120
set -euo pipefail
cd "${SLURM_SUBMIT_DIR:-$(dirname "$0")/..}"
exec srun --kill-on-bad-exit=1 "${PYTHON:-.venv/bin/python}" main.py "$@"
