"""The PyTorch networks of `parity`, ready to be timed in the same ways."""

import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from benchmarks.our_side import random_batch
from parity.losses import joint_loss
from parity.sides import inputs, torch_network


class TorchSide:
    """One network in one of `versus.TORCH_MODES`, on random images and masks of `shape` [B, H, W].

    Convolutions and products of float32 may use TF32 on a GPU, as XLA's do. `bfloat16` is autocast:
    parameters and the optimizer stay in float32, as they do in this package.
    """

    def __init__(
        self,
        network: str,
        fields: dict[str, Any],
        shape: tuple[int, int, int],
        *,
        mode: str,
        dtype: str,
        device: str,
    ):
        torch.backends.cuda.matmul.allow_tf32 = True
        torch.backends.cudnn.allow_tf32 = True
        torch.backends.cudnn.benchmark = True  # choose each convolution's algorithm by time
        torch.manual_seed(0)
        self._network, self._device, self._dtype = network, device, dtype
        last = "channels_last" in mode
        self._layout = {"memory_format": torch.channels_last} if last else {}
        self._module = torch_network(network, fields).to(device, **self._layout)
        self._run = torch.compile(self._module) if mode.startswith("compile") else self._module
        self._batch = {
            name: torch.from_numpy(array).to(device) for name, array in random_batch(shape).items()
        }

    def forward(self) -> Callable[[], None]:
        """One prediction."""
        self._module.eval()

        def call() -> None:
            with torch.inference_mode():
                self._logits()
            self._wait()

        return call

    def train_step(self) -> Callable[[], None]:
        """One update by Adam of the joint loss with DWB."""
        self._module.train()
        on_gpu = self._device != "cpu"
        optimizer = torch.optim.Adam(self._module.parameters(), lr=0.01, fused=on_gpu)
        target = {task: self._batch[task][:, None].float() for task in ("rv", "faz")}

        def call() -> None:
            logits = {task: values.float() for task, values in self._logits().items()}
            loss = joint_loss(logits, target, epoch=0, total_epochs=100)["loss"]
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            self._wait()

        return call

    def peak_memory(self) -> int | None:
        """Bytes on the GPU since the last call of this; None on a CPU."""
        if self._device == "cpu":
            return None
        peak = torch.cuda.max_memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        return peak

    def _logits(self) -> dict[str, torch.Tensor]:
        images = self._batch["image"].float() / 255
        arguments = [x.contiguous(**self._layout) for x in inputs(self._network, images)]
        with self._precision():
            return self._run(*arguments)

    def _precision(self) -> contextlib.AbstractContextManager[Any]:
        if self._dtype == "float32":
            return contextlib.nullcontext()
        return torch.autocast(self._device, dtype=torch.bfloat16)

    def _wait(self) -> None:
        if self._device != "cpu":
            torch.cuda.synchronize()


def threads() -> int:
    """Threads that PyTorch computes with on a CPU."""
    return torch.get_num_threads()


def versions() -> str:
    """PyTorch's version, for the head of a table."""
    return f"torch {torch.__version__}, numpy {np.__version__}"
