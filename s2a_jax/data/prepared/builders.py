"""TFDS builders: data sets as array_record files, written and read without TensorFlow.

A builder reads the raw folder through `manual_dir`; `python -m s2a_jax prepare` runs it.
"""

import dataclasses
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image
from tensorflow_datasets.core.file_adapters import ArrayRecordFileAdapter

from s2a_jax.data.cases import Case, read_case
from s2a_jax.data.entry import DataSet
from s2a_jax.data.pairing import CaseFiles, Listing
from s2a_jax.data.splits import SPLITS, TRAINING, Wanted
from s2a_jax.inputs.notes import Note
from s2a_jax.inputs.slabs import slab_names

_SHARD = 4096  # cases in a file


class Encoded(NamedTuple):
    """A serialized case.

    Attributes:
        example: the case as the data set holds it.
        notes: what reading its files had to change or choose.
    """

    example: bytes
    notes: tuple[Note, ...]


@dataclasses.dataclass
class CasesConfig(tfds.core.BuilderConfig):
    """A part of a data set.

    Attributes:
        subset: as `config.data.subset`; None without subsets.
        slab: as `config.data.slab`.
    """

    subset: str | None = None
    slab: str | None = None


class CasesBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Cases at their native size: `id`, `image`, `rv`, `faz`, `has_rv`, `has_faz`.

    Images are uint16 [H, W], or [H, W, C] with C > 1 slabs: the levels of a 16-bit file, or those
    of an 8-bit file times 257, the same fraction of the range. (Reading an Image feature of 16 bits
    would need OpenCV.) Others, of 12 bits or resampled, are twice as wide as their masks: the upper
    and then the lower halves of the bits of float32. The metadata has the names of the slabs, if
    any, as `slabs`. Masks are uint8 [H, W, 1], 0 or 255, and all 0 where `has_rv` or `has_faz` is
    false.
    """

    VERSION = tfds.core.Version("1.0.0")
    MANUAL_DOWNLOAD_INSTRUCTIONS = "data/README.md says where to get each data set."

    data_set: DataSet
    skipped: frozenset[Path] = frozenset()
    """Images to leave out."""
    wanted: Wanted = TRAINING
    """The cases to write; all three splits."""
    on_case: Callable[[], Any] = staticmethod(lambda: None)
    """Called after every case."""
    encode: Callable[[CaseFiles], Encoded] | None = None
    """Replaces `encoded`, if given."""

    def listing(self, root: Path) -> Listing:
        """Lists the cases of the raw folder."""
        config = self.builder_config
        return self.data_set.list_cases(root, config.subset, config.slab, self.wanted)

    def _info(self) -> tfds.core.DatasetInfo:
        slabs = slab_names(self.builder_config.slab)
        channels = (len(slabs),) if len(slabs) > 1 else ()
        return tfds.core.DatasetInfo(
            builder=self,
            description="En-face OCTA with masks of the retinal vessels and the FAZ.",
            features=tfds.features.FeaturesDict(
                {
                    "id": tfds.features.Text(),
                    "image": tfds.features.Tensor(
                        shape=(None, None, *channels), dtype=np.uint16, encoding="zlib"
                    ),
                    "rv": tfds.features.Image(shape=(None, None, 1)),
                    "faz": tfds.features.Image(shape=(None, None, 1)),
                    "has_rv": tfds.features.Scalar(np.bool_),
                    "has_faz": tfds.features.Scalar(np.bool_),
                }
            ),
            metadata=tfds.core.MetadataDict(slabs=list(slabs)) if slabs else None,
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, list]:
        cases = self.listing(Path(dl_manager.manual_dir)).cases
        kept = [case for case in cases if case.image not in self.skipped]
        groups = {split: [case for case in kept if case.split == split] for split in SPLITS}
        return {split: group for split, group in groups.items() if group}

    def encoded(self, files: CaseFiles) -> Encoded:
        """Reads a case and serializes it.

        Raises:
            UserError: as `read_case`.
        """
        case = read_case(files)
        return Encoded(self.info.features.serialize_example(_example(files, case)), case.notes)

    def _generate_examples(self, files: list[CaseFiles]) -> Iterator[tuple[str, bytes]]:
        for file in files:
            yield file.id, (self.encode or self.encoded)(file).example
            self.on_case()

    def _download_and_prepare(
        self, dl_manager: tfds.download.DownloadManager, download_config: Any
    ) -> None:
        # Replaces TFDS's own method, which would encode every case again after the check.
        del download_config
        infos = []
        for split, files in self._split_generators(dl_manager).items():
            template = tfds.core.ShardedFileTemplate(
                data_dir=self.data_path,
                dataset_name=self.name,
                split=split,
                filetype_suffix="array_record",
            )
            parts = [files[i : i + _SHARD] for i in range(0, len(files), _SHARD)]
            paths = [
                template.sharded_filepath(shard_index=i, num_shards=len(parts))
                for i in range(len(parts))
            ]
            for path, part in zip(paths, parts, strict=True):
                ArrayRecordFileAdapter.write_examples(path, self._generate_examples(part))
            infos.append(
                tfds.core.SplitInfo(
                    name=split,
                    shard_lengths=[len(part) for part in parts],
                    num_bytes=sum(path.stat().length for path in paths),
                    filename_template=template,
                )
            )
        self.info.set_splits(tfds.core.splits.SplitDict(infos))


def builder_class(entry: DataSet) -> type[CasesBuilder]:
    """The builder of a data set; each subset, with each of its slabs, is a configuration."""

    class Builder(CasesBuilder, skip_registration=True):
        data_set = entry
        name = entry.name
        BUILDER_CONFIGS = tuple(
            CasesConfig(name=config_name(entry, subset, slab), subset=subset, slab=slab)
            for subset, part in entry.subsets.items()
            for slab in (None, *(part.slabs or ()))
        )

    return Builder


def config_name(data_set: DataSet, subset: str | None, slab: str | None) -> str:
    """Name of a configuration, such as `3m`, `3m_full`, `1_SVC+DVC` or `default`."""
    # TFDS allows no other characters in a name. SVC_DVC is one slab, SVC+DVC are two.
    joined = "+".join(re.sub(r"[^\w.-]", "-", name) for name in slab_names(slab))
    return data_set.prepared_name("_".join(filter(None, (subset or "default", joined))))


def _example(file: CaseFiles, case: Case) -> dict[str, Any]:
    empty = np.zeros(case.native_size, bool)
    masks = {"rv": case.rv, "faz": case.faz}
    return {
        "id": file.id,
        "image": to_levels(case.image),
        **{
            name: Image.fromarray(
                np.where(empty if mask is None else mask, 255, 0).astype(np.uint8)
            )
            for name, mask in masks.items()
        },
        **{f"has_{name}": mask is not None for name, mask in masks.items()},
    }


def to_levels(image: np.ndarray) -> np.ndarray:
    """The numbers from which `from_levels` makes the same image.

    Args:
        image: float32 in [0, 1], [H, W] or [H, W, C].

    Returns:
        uint16, of the image's shape if it holds levels of 8 or 16 bits, else twice as wide.
    """
    levels = np.rint(image * 65535).astype(np.uint16)
    if np.array_equal(from_levels(levels, image.shape[1]), image):
        return levels
    bits = np.ascontiguousarray(image).view(np.uint32)
    return np.concatenate([bits >> 16, bits & 0xFFFF], axis=1).astype(np.uint16)


def from_levels(levels: np.ndarray, width: int) -> np.ndarray:
    """Exactly the float32 in [0, 1] that was read from the raw file.

    Args:
        levels: uint16 of `to_levels`.
        width: width of the image in pixels.
    """
    if levels.shape[1] != width:
        upper, lower = np.split(levels.astype(np.uint32), 2, axis=1)
        return (upper << 16 | lower).view(np.float32)
    # Levels that are 257 apart come from an 8-bit file, which was divided by 255.
    if (levels % 257 == 0).all():
        return (levels // 257).astype(np.float32) / np.float32(255)
    return levels.astype(np.float32) / np.float32(65535)
