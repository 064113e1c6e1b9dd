"""TransUNet with one output channel for the vessels (RV) and one for the avascular zone (FAZ)."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from .hybrid import (
    Decoder,
    HybridTransformer,
    decoder_hyper_parameters,
    encoder_hyper_parameters,
    indices,
)


class TransUNet(nn.Module):
    """TransUNet, joint for both tasks.

    Args:
        width: Channels of the CNN's root.
        units: Bottlenecks of the CNN's three stages.
        groups: Groups of the CNN's normalisations.
        hidden: Size of a token.
        num_heads: Number of attention heads.
        mlp_width: Size of the MLP's hidden layer.
        dropout_rate: Dropout of the tokens and in the MLP.
        num_blocks: Transformer blocks.
        first_channels: Channels of the decoder's first convolution.
        decoder_channels: Channels of the decoder's four blocks.
        grid: Rows and columns of the position embeddings: the training images' size / 16.
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
        num_blocks: int = 12,
        first_channels: int = 512,
        decoder_channels: Sequence[int] = (256, 128, 64, 16),
        grid: Sequence[int] = (19, 19),
    ) -> None:
        super().__init__()
        self.last_layer = num_blocks - 1
        self.transformer = HybridTransformer(
            layers=(self.last_layer,),
            width=width,
            units=units,
            groups=groups,
            hidden=hidden,
            num_heads=num_heads,
            mlp_width=mlp_width,
            dropout_rate=dropout_rate,
            grid=grid,
        )
        self.decoder = Decoder(
            hidden=hidden,
            width=width,
            first_channels=first_channels,
            channels=decoder_channels,
        )
        self.segmentation_head = nn.Sequential(nn.Conv2d(decoder_channels[-1], 2, 3, padding=1))

    @classmethod
    def hyper_parameters(
        cls, shapes: Mapping[str, tuple[int, ...]], **known: Any
    ) -> dict[str, Any]:
        """Read the constructor's arguments off the shapes of a state dict.

        Args:
            shapes: Parameter name -> shape.
            **known: Arguments to pass on unchanged: `num_heads`, `groups` and `dropout_rate`,
                which shapes do not determine, and `grid` where it is not square.

        Returns:
            Keyword arguments of the constructor.
        """
        first_channels, decoder_channels = decoder_hyper_parameters(shapes, "decoder")
        return {
            **encoder_hyper_parameters(shapes),
            "num_blocks": len(indices(shapes, r"transformer\.encoder\.layer\.(\d+)\.")),
            "first_channels": first_channels,
            "decoder_channels": decoder_channels,
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
        logits = self.segmentation_head(self.decoder(tokens[self.last_layer], skips))
        return {"rv": logits[:, 0:1], "faz": logits[:, 1:2]}
