"""Small PyTorch networks in which no weight has a trivial value."""

import torch

from parity.networks import NETWORKS
from s2a_jax.convert import from_torch

# For networks this small, more threads would only wait for each other, at full load.
torch.set_num_threads(1)

_HYBRID = {
    "width": 8,
    "units": (1, 2, 1),
    "groups": 4,
    "hidden": 16,
    "num_heads": 4,
    "mlp_width": 24,
    "dropout_rate": 0.0,
    "first_channels": 8,
    "decoder_channels": (8, 6, 4, 4),
    "grid": (2, 2),
}
FIELDS = {
    "s2anet": _HYBRID | {"gcem_layers": (1, 2)},
    "transunet": _HYBRID | {"num_blocks": 2},
    "unet": {"widths": (4, 6, 8, 10, 12)},
    "jointseg": {"widths": (4, 6, 8, 16, 12)},
    "vaffnet": {
        "width": 4,
        "layers": (1, 2, 1, 1),
        "pyramid": 8,
        "gate": (6, 5, 4),
        "head": 7,
        "map_width": 5,
        "grid_width": 6,
    },
}
KNOWN = {
    network: {"num_heads": 4, "groups": 4, "dropout_rate": 0.0}
    if network in ("s2anet", "transunet")
    else {}
    for network in FIELDS
}


def reference(network, seed=0):
    """Make a PyTorch network in float64, in inference mode."""
    torch.manual_seed(seed)
    module = NETWORKS[network](**FIELDS[network]).double()
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if name.endswith("running_var"):
                tensor.uniform_(0.5, 1.5)
            elif (
                tensor.is_floating_point()
            ):  # offsets, gammas and position embeddings start at zero
                tensor += 0.1 * torch.randn_like(tensor)
    return module.eval()


def state_of(module):
    """Copy the state dict to NumPy arrays, without counters."""
    return {
        name: tensor.numpy().copy()
        for name, tensor in module.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }


def converted(network, module, **more):
    """Make a Linen module and its variables from the weights of a PyTorch module."""
    return from_torch(network, state_of(module), **KNOWN[network] | more)
