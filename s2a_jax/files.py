"""Files that appear only when they are complete."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from s2a_jax.errors import UserError


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A place to write a file to; it moves to `path` once it is complete, and else vanishes.

    Raises:
        UserError: it cannot be written; `path` is as it was.
    """
    # The ending stays, for numpy.savez would append its own.
    partial = path.with_name(f".partial-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        partial.replace(path)
    except (OSError, RuntimeError) as error:  # PyTorch raises the last
        raise UserError(f"Cannot write {path}: {error}.") from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
