"""ROSE: recognises its layouts on disk, and lists the cases: vessels, in O, Z and H the FAZ too."""

from pathlib import Path

from s2a_jax.data.entry import DataSet, Subset
from s2a_jax.data.layouts import (
    NotRecognisedError,
    SplitLayout,
    existing_folder,
    has_layout,
    levels,
    list_slabs,
)
from s2a_jax.data.pairing import Listing
from s2a_jax.data.splits import TRAINING, Wanted
from s2a_jax.errors import UserError
from s2a_jax.inputs.names import child_folder, fold_name
from s2a_jax.inputs.slabs import SlabError

_THRESHOLD = 128  # as in the published code: the masks have grey edges
_HELP = (
    "Get ROSE from its authors (https://imed.nimte.ac.cn), unpack it and pass "
    "--config.data.root=DIR."
)


def list_rose(
    root: str | Path, subset: str, slab: str | None, wanted: Wanted = TRAINING
) -> Listing:
    """Finds a subset of ROSE in any of its usual layouts and lists its cases.

    The authors' train and test splits are kept; an absent val split is made from the last tenth of
    train.

    Args:
        root: the subset's folder, or a folder one or two levels above it.
        subset: "1" (Optovue, vessels), "2" (Heidelberg, vessels), or "O", "Z", "H" (Optovue,
            Zeiss, Heidelberg; vessels and FAZ).
        slab: the plexus SVC, DVC or SVC_DVC of ROSE-1; the projection WRCC, SCC or DCC of O, Z and
            H; None: the superficial one; or several with commas between. In ROSE-1 every plexus
            has its own masks; with several, those of the first are read.
        wanted: the cases to list.

    Raises:
        UserError: the subset or slab is unknown, the layout does not name its slab, nothing or
            more than one folder is recognised, a case lacks a slab, or one image or mask has two
            files.
    """
    names = ROSE.chosen_slabs(subset, slab)
    slabs = ROSE.subset(subset).slabs
    root = existing_folder(root, _HELP)
    folder = _find(root, subset)
    # The slab of a layout without slab names: the one that the folder is named after, or else the
    # superficial one.
    default = next((one for one in slabs if fold_name(one) == fold_name(folder.name)), None)
    default = default or next(iter(slabs), "")
    if slab is None:
        names = (default,)
    has_slab_names = any(has_layout(folder, _layouts(one)[0]) for one in slabs)
    may_be_flat = names == (default,) and not has_slab_names
    places = [_place(folder, name, may_be_flat) for name in names]
    for name, place in zip(names, places, strict=True):
        if place is None:
            layouts = _layouts(name)
            flat = next((layout for layout in layouts[1:] if has_layout(folder, layout)), None)
            if flat and not has_slab_names:
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
    return list_slabs(places, wanted)


def _find(root: Path, subset: str) -> Path:
    """The highest folder that is named after a subset, else one with its layout, else `root`.

    Raises:
        UserError: there are several.
    """
    names = {fold_name(f"ROSE-{subset}"), fold_name(subset)}
    others = {fold_name(name) for one in ROSE.subsets for name in (f"ROSE-{one}", one)} - names
    slabs = tuple(ROSE.subset(subset).slabs) or ("",)

    def is_named(folder: Path) -> bool:
        return fold_name(folder.name) in names

    def holds_it(folder: Path) -> bool:
        if any(fold_name(part) in others for part in folder.relative_to(root).parts):
            return False
        plexuses = (child_folder(folder, slab) for slab in slabs if slab)
        homes = [folder, *(home for home in plexuses if home is not None)]
        layouts = [layout for slab in slabs for layout in _layouts(slab)]
        return any(has_layout(home, layout) for home in homes for layout in layouts)

    above = list(levels(root))
    for is_match, where in (
        (lambda folder: is_named(folder) and holds_it(folder), above),
        (is_named, above[1:]),
        (holds_it, above),
    ):
        for level in where:
            found = [folder for folder in level if is_match(folder)]
            if len(found) > 1:
                listed = ", ".join(map(str, found))
                raise UserError(
                    f"{root} holds several folders for ROSE-{subset}: {listed}; pass the one to "
                    "use."
                )
            if found:
                return found[0]
    return root


def _place(folder: Path, slab: str, may_be_flat: bool) -> tuple[Path, SplitLayout] | None:
    """The folder and layout of one slab of a subset."""
    layouts = _layouts(slab)
    plexus = child_folder(folder, slab) if slab else None
    # Only the first layout names its slabs; the others hold one kind of image.
    for home, candidates in ((plexus, layouts), (folder, layouts if may_be_flat else layouts[:1])):
        for layout in candidates:
            if home is not None and has_layout(home, layout):
                return home, layout
    return None


def _layouts(slab: str) -> tuple[SplitLayout, ...]:
    """The layouts below the folder of a subset or plexus, the most specific first."""
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


_PLEXUSES = {"SVC": "superficial", "DVC": "deep", "SVC_DVC": "whole"}
_PROJECTIONS = {"SCC": "superficial", "WRCC": "whole", "DCC": "deep"}

ROSE = DataSet(
    name="rose",
    about="ROSE-1, -2, -O, -Z and -H",
    list_cases=list_rose,
    subsets={
        "1": Subset(304, _PLEXUSES),
        "2": Subset(512, {}),
        "O": Subset(304, _PROJECTIONS),
        "Z": Subset(512, _PROJECTIONS),
        "H": Subset(512, _PROJECTIONS),
    },
    marks=lambda folder: fold_name(folder.name).startswith("rose"),
)
