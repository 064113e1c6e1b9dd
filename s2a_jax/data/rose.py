"""Recognises the ROSE data sets on disk: vessels, and for the three devices the FAZ too."""

from pathlib import Path

from s2a_jax.data.folders import Listing, child_folder
from s2a_jax.data.layouts import SplitLayout, existing_folder, has_layout, list_splits
from s2a_jax.errors import UserError

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


def list_rose(root: str | Path, subset: str, slab: str | None) -> Listing:
    """Finds a subset of ROSE in any of its usual layouts.

    The authors' train and test splits are kept; a val split that is absent is made from the last
    tenth of train.

    Args:
      root: the subset's folder, or the folder that holds it.
      subset: "1" (Optovue, vessels), "2" (Heidelberg, vessels), or "O", "Z", "H" (Optovue, Zeiss,
        Heidelberg; vessels and FAZ).
      slab: of ROSE-1 the plexus SVC, DVC or SVC_DVC; of O, Z and H the projection WRCC, SCC or DCC;
        None: the superficial one.

    Raises:
      UserError: an unknown subset or slab, nothing recognised, or two files for one image or mask.
    """
    if subset not in ROSE_SIZES:
        raise UserError(
            f"config.data.subset={subset!r}: ROSE has the subsets {', '.join(ROSE_SIZES)}."
        )
    slabs = ROSE_SLABS[subset]
    if slab is not None and slab not in slabs:
        known = (
            f"expected {', '.join(slabs)}" if slabs else "it has one kind of image: leave it out"
        )
        raise UserError(f"config.data.slab={slab!r} of ROSE-{subset}: {known}.")
    slab = slab or (slabs[0] if slabs else "")
    root = existing_folder(root, _HELP)
    folder = child_folder(root, f"ROSE-{subset}", subset) or root
    layouts = _layouts(slab)
    plexus = child_folder(folder, slab) if slab else None
    for home in (plexus, folder):
        for layout in layouts:
            if home is not None and has_layout(home, layout):
                return list_splits(home, layout)
    looked_for = "; ".join(layout.name for layout in layouts)
    raise UserError(
        f"ROSE-{subset} was not recognised in {folder}; looked for: {looked_for}. {_HELP}"
    )


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
