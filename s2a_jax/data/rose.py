"""Recognises the ROSE data sets on disk: vessels, and for the three devices the FAZ too."""

from pathlib import Path

from s2a_jax.data.layouts import (
    NotRecognisedError,
    SplitLayout,
    existing_folder,
    has_layout,
    list_slabs,
)
from s2a_jax.data.pairing import Listing
from s2a_jax.errors import UserError
from s2a_jax.inputs.names import child_folder, fold_name
from s2a_jax.inputs.slabs import SlabError, slab_names

ROSE_SIZES = {"1": 304, "2": 512, "O": 304, "Z": 512, "H": 512}
"""Subset -> side of the images in pixels that it is used at."""

ROSE_SLABS = {
    "1": ("SVC", "DVC", "SVC_DVC"),
    "2": (),
    "O": ("SCC", "WRCC", "DCC"),
    "Z": ("SCC", "WRCC", "DCC"),
    "H": ("SCC", "WRCC", "DCC"),
}
_THRESHOLD = 128  # the published code's: the masks have grey edges
_HELP = (
    "Get ROSE from its authors (https://imed.nimte.ac.cn), unpack it and pass "
    "--config.data.root=DIR."
)


def list_rose(
    root: str | Path, subset: str, slab: str | None, skip_incomplete: bool = False
) -> Listing:
    """Finds a subset of ROSE in any of its usual layouts.

    The authors' train and test splits are kept; a val split that is absent is made from the last
    tenth of train.

    Args:
      root: the subset's folder, or the folder that holds it.
      subset: "1" (Optovue, vessels), "2" (Heidelberg, vessels), or "O", "Z", "H" (Optovue, Zeiss,
        Heidelberg; vessels and FAZ).
      slab: of ROSE-1 the plexus SVC, DVC or SVC_DVC; of O, Z and H the projection WRCC, SCC or DCC;
        None: the superficial one; or several with commas between. Of several plexuses of ROSE-1,
        each of which has masks of its own, the masks are the first one's.
      skip_incomplete: leave out cases that lack one of the slabs, instead of raising.

    Raises:
      UserError: an unknown subset or slab, one that the layout does not tell apart, nothing
        recognised, a case that lacks a slab, or two files for one image or mask.
    """
    if subset not in ROSE_SIZES:
        raise UserError(
            f"config.data.subset={subset!r}: ROSE has the subsets {', '.join(ROSE_SIZES)}."
        )
    slabs = ROSE_SLABS[subset]
    names = slab_names(slab)
    if unknown := [name for name in names if name not in slabs]:
        fact = f"config.data.slab={unknown[0]!r} of ROSE-{subset}: "
        if not slabs:
            raise SlabError(f"{fact}it has one kind of image", "leave it out")
        raise SlabError(f"{fact}expected {', '.join(slabs)}")
    root = existing_folder(root, _HELP)
    folder = child_folder(root, f"ROSE-{subset}", subset) or root
    # Of a folder without names of slabs: the one that it is called after, or the superficial one.
    default = next((one for one in slabs if fold_name(one) == fold_name(folder.name)), None)
    default = default or next(iter(slabs), "")
    names = names or (default,)
    are_told_apart = any(has_layout(folder, _layouts(one)[0]) for one in slabs)
    may_be_flat = names == (default,) and not are_told_apart
    places = [_place(folder, name, may_be_flat) for name in names]
    for name, place in zip(names, places, strict=True):
        if place is None:
            layouts = _layouts(name)
            flat = next((layout for layout in layouts[1:] if has_layout(folder, layout)), None)
            if flat and not are_told_apart:
                raise SlabError(
                    f"config.data.slab={slab!r}: {folder} has the layout {flat.name}, in which "
                    "there is one kind of image",
                    "leave it out",
                )
            what = f"ROSE-{subset}" + (f" with the slab {name}" if slab else "")
            looked_for = "; ".join(layout.name for layout in layouts)
            raise NotRecognisedError(
                f"{what} was not recognised in {folder}; looked for: {looked_for}. {_HELP}"
            )
    return list_slabs(places, skip_incomplete)


def _place(folder: Path, slab: str, may_be_flat: bool) -> tuple[Path, SplitLayout] | None:
    """Where one slab of a subset lies, and in which layout."""
    layouts = _layouts(slab)
    plexus = child_folder(folder, slab) if slab else None
    # Only the first layout tells slabs of one folder apart; the others hold one kind of image.
    for home, candidates in ((plexus, layouts), (folder, layouts if may_be_flat else layouts[:1])):
        for layout in candidates:
            if home is not None and has_layout(home, layout):
                return home, layout
    return None


def _layouts(slab: str) -> tuple[SplitLayout, ...]:
    """The layouts below a subset's (or plexus's) folder, the most telling first."""
    by_device = SplitLayout(
        f"{{train,test}}/{{img/{slab},gt/vessel,gt/FAZ}}",
        image=f"img/{slab}",
        rv=("gt/vessel", ""),
        faz=("gt/FAZ", ""),
        threshold=_THRESHOLD,
    )
    flat = SplitLayout(
        "{train,test}/{img,gt,faz}",
        image="img",
        rv=("gt", ""),
        faz=("faz", ""),
        threshold=_THRESHOLD,
    )
    named = SplitLayout(
        "{train,test}/rose1_{train,test}_{img,gt,faz}",
        image="rose1_{split}_img",
        rv=("rose1_{split}_gt", ""),
        faz=("rose1_{split}_faz", ""),
        threshold=_THRESHOLD,
    )
    rose2 = SplitLayout(
        "{train,test}/{original,gt}", image="original", rv=("gt", ""), threshold=_THRESHOLD
    )
    return (by_device, flat, named, rose2) if slab else (rose2, flat, named)
