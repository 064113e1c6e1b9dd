#!/usr/bin/env bash
# Trains one configuration on all hosts of a Cloud TPU slice; run it on your own machine:
#   TPU=my-slice ZONE=us-central2-b launch/tpu_vm.sh --config FILE --workdir DIR ...
# The repository must lie in ~/s2a_jax on every host, and the workdir on a disk that all hosts see.
set -euo pipefail
: "${TPU:?name of the TPU}" "${ZONE:?its zone}"
printf -v arguments '%q ' "$@"
exec gcloud compute tpus tpu-vm ssh "$TPU" --zone "$ZONE" --worker=all \
  --command "cd s2a_jax && .venv/bin/python main.py --coordinator auto $arguments"
