"""Facts about the masks of decoded cases, from which sentences about doubtful masks follow."""

from s2a_jax.data.cases import Case
from s2a_jax.inputs.plausibility import MaskFacts, mask_facts


def case_facts(case: Case) -> MaskFacts:
    """Examines the masks of one case."""
    return mask_facts(case.image, case.rv, case.faz)
