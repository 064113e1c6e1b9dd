"""Synthetic eyes as a source of training cases that never repeats."""

from collections.abc import Iterable
from dataclasses import dataclass

from s2a_jax.data.cases import Case, CaseSet, stacked
from s2a_jax.data.synthesis import Eye
from s2a_jax.data.synthesis.stream import EyesAhead, Recipe
from s2a_jax.data.synthetic_set import eye_recipe
from s2a_jax.data.synthetic_slabs import SYNTHETIC_SLABS, eye_image


@dataclass(frozen=True)
class EyeSource:
    """Passes over eyes that are new in each; pass 0 has those of the fixed set of this seed.

    Nothing is kept on disk: an eye is seen once, and a resumed run starts with the eyes of its own
    step, so that there is nothing to read back.

    Attributes:
        count: eyes in a pass.
        size: side in pixels.
        seed: of the set, >= 0.
        field_mm: smallest and largest side of the field of view, mm.
        slabs: of each eye, as `synthetic_slabs` names them.
    """

    count: int
    size: int
    seed: int
    field_mm: tuple[float, float]
    slabs: tuple[str, ...] = SYNTHETIC_SLABS[:1]

    def name(self, number: int, pass_: int) -> str:
        """Of eye `number` of a pass, for people."""
        return f"pass{pass_}-train{number:04d}"

    def recipe(self, number: int, pass_: int) -> Recipe:
        """What `synthesize_eye` makes that eye of."""
        which = (0, number, pass_) if pass_ else (0, number)
        return eye_recipe(self.seed, self.size, self.field_mm, which)

    def ahead(self, picks: Iterable[tuple[int, int]], extra: int) -> EyesAhead:
        """The eyes of (number, pass) in the order of `picks`; see `EyesAhead`.

        A number < 0 stands for a case of another source.
        """
        recipes = (self.recipe(*pick) if pick[0] >= 0 else None for pick in picks)
        return EyesAhead(recipes, extra=extra)

    def case(self, number: int, pass_: int, eye: Eye) -> CaseSet:
        """One eye as the set that files of it would be read as."""
        image = eye_image(eye, self.slabs)
        case = Case(image, eye.rv, eye.faz, image.shape[:2])
        return stacked([self.name(number, pass_)], [case], self.size)
