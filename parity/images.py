"""Images that both sides are compared on: a user's own, or synthetic eyes."""

import argparse
from pathlib import Path
from typing import NamedTuple

import numpy as np

from s2a_jax.data.synthesis import EyeParameters, synthesize_eye
from s2a_jax.errors import UserError
from s2a_jax.inputs.images import read_image, read_picture, resize_image, to_unit_float
from s2a_jax.inputs.masks import binary_mask, resize_mask
from s2a_jax.inputs.names import images_in, name_of


class Case(NamedTuple):
    """One image and its true masks.

    Attributes:
        name: the file name.
        image: float32 [H, W] in [0, 1], H and W multiples of 16.
        truth: task (rv, faz) -> bool [H, W]; tasks without a mask are left out.
    """

    name: str
    image: np.ndarray
    truth: dict[str, np.ndarray]


def add_arguments(parser: argparse.ArgumentParser, count: int) -> None:
    """Add the flags that choose the images.

    Args:
        parser: the parser of a program.
        count: the default of `--count`.
    """
    parser.add_argument("--images", type=Path, help="folder of images; default: synthetic eyes")
    parser.add_argument("--rv", type=Path, help="folder of vessel masks named like the images")
    parser.add_argument("--faz", type=Path, help="folder of FAZ masks named like the images")
    parser.add_argument(
        "--count", type=int, default=count, help=f"number of images; default {count}"
    )
    parser.add_argument(
        "--size",
        type=int,
        help="resize images to this side in pixels, a multiple of 16; default: their own size, "
        "or 304 for synthetic eyes",
    )


def load(options: argparse.Namespace) -> list[Case]:
    """Read or synthesize the cases that the flags of `add_arguments` choose.

    Raises:
        UserError: a flag, folder or file that cannot be used.
    """
    if options.count < 1:
        raise UserError(f"--count={options.count}: expected at least 1.")
    if options.size is not None and (options.size < 32 or options.size % 16):
        raise UserError(f"--size={options.size}: expected a multiple of 16, 32 or more.")
    if options.images is None:
        if options.rv or options.faz:
            raise UserError("--rv and --faz are masks of --images: give --images, too.")
        return [_synthetic(seed, options.size or 304) for seed in range(options.count)]
    folders = {"rv": options.rv, "faz": options.faz}
    for flag, folder in {"images": options.images, **folders}.items():
        if folder is not None and not folder.is_dir():
            raise UserError(f"--{flag}={folder}: no such folder.")
    files = images_in(options.images)
    if not files:
        raise UserError(f"--images={options.images}: the folder holds no images.")
    masks = {task: images_in(folder) for task, folder in folders.items()}
    for task, found in masks.items():
        if folders[task] is not None and not files.keys() & found.keys():
            raise UserError(f"--{task}={folders[task]}: no mask is named like an image.")
    return [
        _read(path, {t: m[name] for t, m in masks.items() if name in m}, options.size)
        for name, path in list(files.items())[: options.count]
    ]


def _synthetic(seed: int, size: int) -> Case:
    eye = synthesize_eye(seed, EyeParameters(size=size))
    truth = {"rv": eye.rv > 0, "faz": eye.faz > 0}
    return Case(f"eye{seed}", to_unit_float(eye.image), truth)


def _read(path: Path, masks: dict[str, Path], size: int | None) -> Case:
    image = to_unit_float(read_image(path))
    truth = {}
    for task, mask_path in masks.items():
        mask = binary_mask(read_picture(mask_path))
        if mask.shape != image.shape:
            raise UserError(f"{mask_path} has shape {mask.shape}, but {path} has {image.shape}.")
        truth[task] = mask
    if size is not None:
        image = resize_image(image, (size, size))
        truth = {task: resize_mask(mask, (size, size)) for task, mask in truth.items()}
    if image.shape[0] % 16 or image.shape[1] % 16:
        raise UserError(
            f"{path} has {image.shape[0]}x{image.shape[1]} pixels; expected multiples of 16: "
            "give --size."
        )
    return Case(name_of(path), image, {task: mask > 0 for task, mask in truth.items()})
