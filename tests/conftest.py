"""Eight simulated devices for every test, and compilation that spends no time on speed."""

import os
import sys
from pathlib import Path

# Before JAX is imported by any test.
os.environ["XLA_FLAGS"] = (
    "--xla_force_host_platform_device_count=8 --xla_backend_optimization_level=0"
)
os.environ.setdefault("JAX_PLATFORMS", "cpu")
sys.path.insert(0, str(Path(__file__).parent))
