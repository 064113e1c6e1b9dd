"""The structure of a TIFF file, checked before any of its tags are trusted.

In a damaged file a single wrong bit can announce gigabytes of tags or pixels.
"""

import struct
from typing import BinaryIO

from s2a_jax.inputs.picture import MOST_PIXELS

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_SIZES |= {16: 8, 17: 8, 18: 8}  # BigTIFF
"""Type of a tag -> bytes of a value."""
_DIRECTORIES = 4096
_TAGS = 512
_WIDTH, _HEIGHT = 256, 257


class StructureError(ValueError):
    """The file is not a well-formed TIFF."""


def is_tiff(head: bytes) -> bool:
    """Whether a file that starts with these 4 bytes is a TIFF or BigTIFF."""
    return head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def check_structure(file: BinaryIO) -> None:
    """Walks through the directories of a file.

    Args:
        file: a file that starts as `is_tiff` says.

    Raises:
        StructureError: a directory or the value of a tag lies outside the file, directories form a
            loop, or an image has no pixels or more than 2^28.
    """
    size = file.seek(0, 2)

    def read(at: int, format_: str) -> tuple[int, ...]:
        file.seek(at)
        content = file.read(struct.calcsize(format_))
        if len(content) < struct.calcsize(format_):
            raise StructureError("a directory lies outside the file")
        return struct.unpack(format_, content)

    file.seek(0)
    head = file.read(4)
    order = "<" if head[:2] == b"II" else ">"
    is_big = b"+" in head
    at, word = (8, "Q") if is_big else (4, "I")
    (directory,) = read(at, order + word)
    seen: set[int] = set()
    while directory:
        if directory in seen or len(seen) == _DIRECTORIES:
            raise StructureError("its directories form a loop")
        seen.add(directory)
        (tags,) = read(directory, order + ("Q" if is_big else "H"))
        if tags > _TAGS:
            raise StructureError(f"a directory announces {tags} tags")
        first, step = directory + (8 if is_big else 2), 20 if is_big else 12
        sides = {_WIDTH: 0, _HEIGHT: 0}
        for at in range(first, first + tags * step, step):
            tag, type_, count = read(at, f"{order}HH{word}")
            inline = 8 if is_big else 4
            bytes_ = _SIZES.get(type_, 1) * count
            offset = at + step - inline
            if bytes_ > inline:
                (offset,) = read(offset, order + word)
            if offset + bytes_ > size:
                raise StructureError(f"the value of tag {tag} lies outside the file")
            if tag in sides and count == 1 and type_ in (3, 4, 16):
                (sides[tag],) = read(offset, order + {3: "H", 4: "I", 16: "Q"}[type_])
        if not 0 < sides[_WIDTH] * sides[_HEIGHT] <= MOST_PIXELS:
            raise StructureError(f"an image of {sides[_WIDTH]}x{sides[_HEIGHT]} pixels")
        (directory,) = read(first + tags * step, order + word)
