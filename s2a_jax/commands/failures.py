"""Files that cannot be used: collected while the others are worked on, and listed at the end."""

import sys

from s2a_jax.errors import UserError
from s2a_jax.inputs.names import counted


class Failures:
    """The images or eyes of one command that cannot be used.

    Args:
        what: what they are, in the singular: "image".
        total: number of all.

    Attributes:
        reasons: id -> sentence that names the file.
    """

    def __init__(self, what: str, total: int):
        self._what, self._total = what, total
        self.reasons: dict[str, str] = {}

    def add(self, id_: str, error: UserError) -> None:
        """Adds one."""
        self.reasons[id_] = str(error)

    def refuse_all(self) -> None:
        """Raises a UserError with the first reason if no image or eye can be used."""
        if not self.reasons or len(self.reasons) < self._total:
            return
        first = next(iter(self.reasons.values()))
        if self._total == 1:
            raise UserError(first)
        raise UserError(
            f"None of {counted(self._total, self._what)} can be used; the first: {first}"
        )

    def finish(self) -> int:
        """Lists them on standard error; returns the exit code, 1 if there are any."""
        if not self.reasons:
            return 0
        print(
            f"{len(self.reasons)} of {counted(self._total, self._what)} cannot be used; repair or "
            "leave out:",
            *self.reasons.values(),
            sep="\n",
            file=sys.stderr,
        )
        return 1
