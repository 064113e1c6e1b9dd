"""Facts about the masks of decoded cases, from which sentences about doubtful masks follow."""

from collections.abc import Iterator

from s2a_jax.data.cases import Case, CaseSet
from s2a_jax.inputs.plausibility import MaskFacts, mask_facts


def case_facts(case: Case) -> MaskFacts:
    """Examines the masks of one case."""
    return mask_facts(case.image, case.rv, case.faz)


def set_facts(cases: CaseSet) -> Iterator[tuple[str, MaskFacts]]:
    """Examines the masks of every case; yields its id and the facts."""
    for i, name in enumerate(cases.ids):
        rv = cases.rv[i] > 0 if cases.has_rv[i] else None
        faz = cases.faz[i] > 0 if cases.has_faz[i] else None
        yield name, mask_facts(cases.images[i], rv, faz)
