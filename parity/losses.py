"""Soft Dice, dynamic weight balancing (DWB) of two tasks, and the joint loss."""

import math
from collections.abc import Mapping

from torch import Tensor
from torch.nn import functional as F

DICE_EPS = 1e-12


def soft_dice(logits: Tensor, targets: Tensor) -> Tensor:
    """Soft Dice loss of each image, without squares in the denominator.

    Args:
        logits: [B, 1, H, W].
        targets: [B, 1, H, W], 0 or 1.

    Returns:
        [B].
    """
    probabilities = logits.sigmoid()
    targets = targets.to(logits.dtype)
    axes = (1, 2, 3)
    overlap = (probabilities * targets).sum(axes)
    total = probabilities.sum(axes) + targets.sum(axes)
    return 1 - (2 * overlap + DICE_EPS) / (total + DICE_EPS)


def binary_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Binary cross-entropy of each image, averaged over the pixels.

    Args:
        logits: [B, 1, H, W].
        targets: [B, 1, H, W], 0 or 1.

    Returns:
        [B].
    """
    pixels = F.binary_cross_entropy_with_logits(logits, targets.to(logits.dtype), reduction="none")
    return pixels.mean(dim=(1, 2, 3))


def dwb_alpha(loss_rv: Tensor, loss_faz: Tensor, progress: float, *, older: bool = False) -> Tensor:
    """Weight of the RV loss; gradients flow through it.

    Args:
        loss_rv: Scalar loss of the vessels.
        loss_faz: Scalar loss of the avascular zone.
        progress: Epoch / total epochs, constant within an epoch.
        older: Whether to use the older form, which starts and ends more gently.

    Returns:
        Scalar.
    """
    ratio = (loss_rv - loss_faz) / (loss_rv + loss_faz)
    if older:
        schedule = 0.5 + 0.4 * math.sin(math.pi * progress - math.pi / 2)
    else:
        schedule = 0.1 + 0.8 * math.sin(progress * math.pi / 2)
    return schedule + 0.1 * ratio


def joint_loss(
    logits: Mapping[str, Tensor],
    targets: Mapping[str, Tensor],
    epoch: int,
    total_epochs: int,
    *,
    bce_weight: float = 0.0,
    older: bool = False,
) -> dict[str, Tensor]:
    """Loss of both tasks, weighted by DWB.

    Args:
        logits: `rv` and `faz`, each [B, 1, H, W]; other entries are ignored.
        targets: `rv` and `faz`, each [B, 1, H, W], 0 or 1.
        epoch: Epoch, from 0.
        total_epochs: Number of epochs of the whole training.
        bce_weight: Weight of the binary cross-entropy added to each task's Dice loss.
        older: As for `dwb_alpha`.

    Returns:
        Scalars `loss`, `loss_rv`, `loss_faz` and `alpha`.
    """

    def task_loss(task: str) -> Tensor:
        per_image = soft_dice(logits[task], targets[task])
        if bce_weight:
            per_image = per_image + bce_weight * binary_cross_entropy(logits[task], targets[task])
        return per_image.mean()

    loss_rv, loss_faz = task_loss("rv"), task_loss("faz")
    alpha = dwb_alpha(loss_rv, loss_faz, epoch / total_epochs, older=older)
    loss = alpha * loss_rv + (1 - alpha) * loss_faz
    return {"loss": loss, "loss_rv": loss_rv, "loss_faz": loss_faz, "alpha": alpha}
