"""The objective of joint segmentation: the weighted sum of both tasks' losses."""

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType

import jax.numpy as jnp
from jax import Array, lax

from s2a_jax.objectives import adaptive
from s2a_jax.objectives.balancing import BALANCERS, loss_ratio
from s2a_jax.objectives.cldice import soft_cldice_loss
from s2a_jax.objectives.dice import binary_cross_entropy, masked_mean, soft_dice_loss


@dataclasses.dataclass(frozen=True)
class Objective:
    """alpha * L_rv + (1 - alpha) * L_faz; for `uncertainty` the sum with learned weights.

    Attributes:
        balance: one of `balancing.BALANCES`.
        fixed_rv_weight: alpha for `fixed`, in [0, 1]; the released PyTorch code trains with 0.8.
        stop_alpha_gradient: treat alpha as a constant; the reference differentiates through it.
        bce_weight: weight of the binary cross-entropy added to each task's Dice loss.
        cldice_weight: weight of the soft clDice loss added to the vessels' loss; 0: not computed.
        cldice_iterations: erosions of its skeletons, see `cldice.soft_cldice_loss`.
    """

    balance: str = "dwb"
    fixed_rv_weight: float = 0.8
    stop_alpha_gradient: bool = False
    bce_weight: float = 0.0
    cldice_weight: float = 0.0
    cldice_iterations: int = 8

    def start_balance(self) -> dict[str, Array]:
        """Initial memory of the balancer; empty for a balancer without one."""
        match self.balance:
            case "uncertainty":
                return adaptive.start_uncertainty()
            case "dwa":
                return adaptive.start_dwa()
            case _:
                return {}

    def learned(self, balance: Mapping[str, Array]) -> dict[str, Array]:
        """The part of `balance` that the optimizer updates along with the network."""
        return {name: balance[name] for name in ("log_variance",) if name in balance}

    def next_balance(
        self,
        balance: Mapping[str, Array],
        parts: Mapping[str, Array],
        present: Mapping[str, Array],
        ends_epoch: Array,
    ) -> dict[str, Array]:
        """The balancer's memory after a step; the learned part stays as it is.

        Args:
            balance: the memory before the step.
            parts: those that `__call__` returned.
            present: those that `__call__` took.
            ends_epoch: bool scalar: whether the step is the last of its epoch.
        """
        if self.balance != "dwa":
            return dict(balance)
        losses = jnp.stack([parts["loss_rv"], parts["loss_faz"]])
        any_present = jnp.stack([jnp.any(present[task] > 0) for task in ("rv", "faz")])
        return adaptive.dwa_update(balance, lax.stop_gradient(losses), any_present, ends_epoch)

    def __call__(
        self,
        logits: dict[str, Array],
        target: dict[str, Array],
        present: dict[str, Array],
        progress: Array,
        balance: Mapping[str, Array] = MappingProxyType({}),
        expected: Mapping[str, Array] | None = None,
    ) -> tuple[Array, dict[str, Array]]:
        """Computes the loss of a batch and its parts.

        A case without a task's mask adds nothing to that task. A task without any mask in the batch
        has loss 0, and alpha then keeps its scheduled value.

        Args:
            logits: {"rv", "faz"}, each [B, H, W, 1].
            target: {"rv", "faz"}, each [B, H, W, 1] in {0, 1}; ignored where not present.
            present: {"rv", "faz"}, each [B] in {0, 1}: whether the case has that task's mask.
            progress: scalar in [0, 1): epoch / total epochs.
            balance: the memory, from `start_balance` or `next_balance`.
            expected: for a part of a batch: {"rv", "faz"}, the masks a part has on average, scalars
                >= 0. Losses are scaled by the masks of this part over them, so that their mean over
                the parts is the mean over the batch's masks; alpha follows this part's own losses.

        Returns:
            The scalar loss, and {"loss", "loss_rv", "loss_faz", "alpha"}.
        """
        losses, any_present = {}, {}
        for task in ("rv", "faz"):
            # A where, not a product: NaN in an absent mask must not pass.
            mask = present[task][:, None, None, None] > 0
            truth = jnp.where(mask, target[task], 0).astype(logits[task].dtype)
            per_image = soft_dice_loss(logits[task], truth)
            if self.bce_weight:
                per_image += self.bce_weight * binary_cross_entropy(logits[task], truth)
            if self.cldice_weight and task == "rv":
                lines = soft_cldice_loss(logits[task], truth, self.cldice_iterations)
                per_image += self.cldice_weight * lines
            losses[task] = masked_mean(per_image, present[task].astype(per_image.dtype))
            any_present[task] = jnp.any(present[task] > 0)
        if self.balance == "fixed":
            alpha = jnp.asarray(self.fixed_rv_weight, losses["rv"].dtype)
        elif self.balance == "uncertainty":
            alpha = adaptive.uncertainty_alpha(balance["log_variance"])
        elif self.balance == "dwa":
            alpha = adaptive.dwa_alpha(balance)
        else:
            both = any_present["rv"] & any_present["faz"]
            alpha = BALANCERS[self.balance](progress, loss_ratio(losses["rv"], losses["faz"], both))
            if self.stop_alpha_gradient:
                alpha = lax.stop_gradient(alpha)
        if expected is not None:
            for task, mean in expected.items():
                share = jnp.sum(present[task]) / jnp.where(mean > 0, mean, 1)
                losses[task] *= share.astype(losses[task].dtype)
                any_present[task] = mean > 0
        if self.balance == "uncertainty":
            pairs = [jnp.stack([both["rv"], both["faz"]]) for both in (losses, any_present)]
            loss = adaptive.uncertainty_loss(*pairs, balance["log_variance"])
        else:
            loss = alpha * losses["rv"] + (1 - alpha) * losses["faz"]
        parts = {"loss": loss, "loss_rv": losses["rv"], "loss_faz": losses["faz"], "alpha": alpha}
        return loss, parts
