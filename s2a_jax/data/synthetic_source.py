"""Synthetic eyes as a source of training cases that never repeats."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from s2a_jax.data.cases import Case, CaseSet, stacked
from s2a_jax.data.synthesis import Eye
from s2a_jax.data.synthesis.stream import EyesAhead, Recipe
from s2a_jax.data.synthetic import (
    SYNTHETIC_SLABS,
    check_eyes,
    eye_image,
    eye_recipe,
    is_deep,
)


@dataclass(frozen=True)
class EyeSource:
    """Passes over synthetic eyes, new ones in each; pass 0 has those of the fixed set of this seed.

    Nothing is kept on disk: an eye is used once, and a resumed run makes the eyes of its own step,
    so that there is nothing to read back.

    Attributes:
        count: eyes in a pass.
        size: side in pixels.
        seed: seed of the set, >= 0.
        field_mm: smallest and largest side of the field of view, mm.
        slabs: names of synthetic slabs.
        deep_share: share of the eyes that are shown as the deep slab; see `is_deep`.
    """

    count: int
    size: int
    seed: int
    field_mm: tuple[float, float]
    slabs: tuple[str, ...] = SYNTHETIC_SLABS[:1]
    deep_share: float = 0.0

    @classmethod
    def from_config(cls, section: Mapping[str, Any], size: int, slabs: tuple[str, ...]) -> Self:
        """The source that `config.data.synthetic` describes.

        Raises:
            UserError: a field is out of its range.
        """
        check_eyes(section, size, ("train",), slabs)
        field_mm, share = tuple(section["field_mm"]), section["deep_share"]
        return cls(section["train"], size, section["seed"], field_mm, slabs, share)

    def name(self, number: int, pass_: int) -> str:
        """Display name of eye `number` of a pass, such as `pass2-train0013`."""
        return f"pass{pass_}-train{number:04d}"

    def recipe(self, number: int, pass_: int) -> Recipe:
        """The arguments of `synthesize_eye` for eye `number` of a pass."""
        return eye_recipe(self.seed, self.size, self.field_mm, _which(number, pass_))

    def ahead(self, picks: Iterable[tuple[int, int]], extra: int) -> EyesAhead:
        """Starts making the eyes of `picks`, in their order; see `EyesAhead`.

        Args:
            picks: (number, pass) of each eye; a number < 0 is a case of another source.
            extra: eyes to make ahead beyond two a process.
        """
        recipes = (self.recipe(*pick) if pick[0] >= 0 else None for pick in picks)
        return EyesAhead(recipes, extra=extra)

    def case(self, number: int, pass_: int, eye: Eye) -> CaseSet:
        """One eye as the set that its files would be read as."""
        if is_deep(self.seed, _which(number, pass_), self.deep_share):
            case = Case(eye.deep, None, eye.deep_faz, eye.deep.shape)
        else:
            image = eye_image(eye, self.slabs)
            case = Case(image, eye.rv, eye.faz, image.shape[:2])
        return stacked([self.name(number, pass_)], [case], self.size)


def _which(number: int, pass_: int) -> tuple[int, ...]:
    """The numbers of a training eye that its random draws follow."""
    return (0, number, pass_) if pass_ else (0, number)
