"""Readers of files in a run's folder.

They raise a ValueError for a file that cannot be read, with a message that continues a sentence
that starts with the file's name.
"""

import json
import math
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open


def read_object(file: Path) -> dict[str, Any]:
    """Reads a file that holds one JSON object.

    Raises:
        ValueError: the file cannot be read or holds something else.
    """
    try:
        content = json.loads(file.read_text())
    except (OSError, RecursionError, ValueError) as error:  # RecursionError: nested too deeply
        raise ValueError(f"could not be read ({error})") from error
    if not isinstance(content, dict):
        raise ValueError("holds no JSON object")
    return content


def count_parameters(file: Path) -> int:
    """Counts a network's parameters in weights.safetensors.

    Raises:
        ValueError: the file cannot be read or is no safetensors file.
    """
    try:
        with safe_open(file, framework="np") as weights:
            names = [name for name in weights.keys() if name.startswith("params/")]
            return sum(math.prod(weights.get_slice(name).get_shape()) for name in names)
    except (OSError, SafetensorError) as error:
        raise ValueError(f"could not be read ({error})") from error
