"""PyTorch reference networks under the parameter names of the original implementations."""

from torch import nn

from .jointseg import JointSeg
from .s2anet import S2ANet
from .transunet import TransUNet
from .unet import UNet
from .vaffnet import VAFFNet

NETWORKS: dict[str, type[nn.Module]] = {
    "s2anet": S2ANet,
    "unet": UNet,
    "transunet": TransUNet,
    "jointseg": JointSeg,
    "vaffnet": VAFFNet,
}
