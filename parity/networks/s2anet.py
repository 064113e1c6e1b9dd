"""S2A-Net: a local branch for the vessels (RV) and a global one for the avascular zone (FAZ)."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .hybrid import (
    Decoder,
    HybridTransformer,
    decoder_hyper_parameters,
    encoder_hyper_parameters,
    indices,
)


class Branch(nn.Module):
    """A `Decoder` under one more level of names, as in the original; same arguments."""

    def __init__(self, **decoder: Any) -> None:
        super().__init__()
        self.decoder = Decoder(**decoder)

    def forward(self, tokens: Tensor, skips: Sequence[Tensor]) -> Tensor:
        """Decode [B, N, hidden] and the skips to [B, channels, H, W]."""
        return self.decoder(tokens, skips)


class S2ANet(nn.Module):
    """S2A-Net.

    The paper's names are mapped by reading the released code: the modules `Multioutput_<i>` are
    LCEM and `Multioutput_<i>_faz` are GCEM, where i is the Transformer block that feeds them.

    Args:
        width: Channels of the CNN's root.
        units: Bottlenecks of the CNN's three stages.
        groups: Groups of the CNN's normalisations.
        hidden: Size of a token.
        num_heads: Number of attention heads.
        mlp_width: Size of the MLP's hidden layer.
        dropout_rate: Dropout of the tokens and in the MLP.
        first_channels: Channels of the first convolution of a decoder.
        decoder_channels: Channels of the four blocks of a decoder.
        lcem_layers: Transformer blocks (from 0) that feed the RV decoders.
        gcem_layers: Transformer blocks that feed the FAZ decoders.
        grid: Rows and columns of the position embeddings: the training images' size / 16.
        gcem_first_channels: `first_channels` of the FAZ decoders; None for the same.
        gcem_decoder_channels: `decoder_channels` of the FAZ decoders; None for the same.
    """

    def __init__(
        self,
        *,
        width: int = 64,
        units: Sequence[int] = (3, 4, 9),
        groups: int = 32,
        hidden: int = 768,
        num_heads: int = 12,
        mlp_width: int = 3072,
        dropout_rate: float = 0.1,
        first_channels: int = 512,
        decoder_channels: Sequence[int] = (256, 128, 64, 16),
        lcem_layers: Sequence[int] = (0,),
        gcem_layers: Sequence[int] = (1, 2, 3, 4, 5),
        grid: Sequence[int] = (19, 19),
        gcem_first_channels: int | None = None,
        gcem_decoder_channels: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        if gcem_first_channels is None:
            gcem_first_channels = first_channels
        if gcem_decoder_channels is None:
            gcem_decoder_channels = decoder_channels
        self.lcem_layers = tuple(lcem_layers)
        self.gcem_layers = tuple(gcem_layers)
        self.transformer = HybridTransformer(
            layers=(*lcem_layers, *gcem_layers),
            width=width,
            units=units,
            groups=groups,
            hidden=hidden,
            num_heads=num_heads,
            mlp_width=mlp_width,
            dropout_rate=dropout_rate,
            grid=grid,
        )
        shared = {"hidden": hidden, "width": width}
        for layer in lcem_layers:
            branch = Branch(first_channels=first_channels, channels=decoder_channels, **shared)
            self.add_module(f"Multioutput_{layer}", branch)
        for layer in gcem_layers:
            branch = Branch(
                first_channels=gcem_first_channels, channels=gcem_decoder_channels, **shared
            )
            self.add_module(f"Multioutput_{layer}_faz", branch)
        rv_channels = len(lcem_layers) * decoder_channels[-1]
        faz_channels = len(gcem_layers) * gcem_decoder_channels[-1]
        self.segmentation_head_2 = nn.Sequential(nn.Conv2d(rv_channels, 1, 3, padding=1))
        self.segmentation_head_faz_2 = nn.Sequential(nn.Conv2d(faz_channels, 1, 3, padding=1))

    @classmethod
    def hyper_parameters(
        cls, shapes: Mapping[str, tuple[int, ...]], **known: Any
    ) -> dict[str, Any]:
        """Read the constructor's arguments off the shapes of a state dict.

        Released checkpoints hold unused decoders. The head's input channels give the number of
        used ones; if there are more, LCEM start at block 0 and GCEM at block 1.

        Args:
            shapes: Parameter name -> shape.
            **known: Arguments to pass on unchanged: `num_heads`, `groups` and `dropout_rate`,
                which shapes do not determine, and `grid` where it is not square.

        Returns:
            Keyword arguments of the constructor.
        """
        lcem_layers, first_channels, decoder_channels = _branches(
            shapes, suffix="", head="segmentation_head_2", first_layer=0
        )
        gcem_layers, gcem_first_channels, gcem_decoder_channels = _branches(
            shapes, suffix="_faz", head="segmentation_head_faz_2", first_layer=1
        )
        return {
            **encoder_hyper_parameters(shapes),
            "first_channels": first_channels,
            "decoder_channels": decoder_channels,
            "lcem_layers": lcem_layers,
            "gcem_layers": gcem_layers,
            "gcem_first_channels": gcem_first_channels,
            "gcem_decoder_channels": gcem_decoder_channels,
            **known,
        }

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Return the logits of both tasks.

        Args:
            image: [B, 3, H, W] in [0, 1], H and W multiples of 16.

        Returns:
            `rv` and `faz`, each [B, 1, H, W].
        """
        tokens, skips = self.transformer(image)
        local = [
            self.get_submodule(f"Multioutput_{layer}")(tokens[layer], skips)
            for layer in self.lcem_layers
        ]
        overall = [
            self.get_submodule(f"Multioutput_{layer}_faz")(tokens[layer], skips)
            for layer in self.gcem_layers
        ]
        return {
            "rv": self.segmentation_head_2(torch.cat(local, dim=1)),
            "faz": self.segmentation_head_faz_2(torch.cat(overall, dim=1)),
        }


def _branches(
    shapes: Mapping[str, tuple[int, ...]], *, suffix: str, head: str, first_layer: int
) -> tuple[tuple[int, ...], int, tuple[int, ...]]:
    """Return the layers, `first_channels` and channels of the decoders in front of `head`."""
    layers = indices(shapes, rf"Multioutput_(\d+){suffix}\.decoder\.")
    first_channels, channels = decoder_hyper_parameters(
        shapes, f"Multioutput_{layers[0]}{suffix}.decoder"
    )
    used = shapes[f"{head}.0.weight"][1] // channels[-1]
    if used < len(layers):
        layers = range(first_layer, first_layer + used)
    return tuple(layers), first_channels, channels
