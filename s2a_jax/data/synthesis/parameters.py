"""Every number behind a synthetic eye, with its unit and where it comes from."""

from dataclasses import dataclass

Range = tuple[float, float]


@dataclass(frozen=True)
class EyeParameters:
    """What `synthesize_eye` draws from; a `Range` is the (low, high) of a uniform draw per eye.

    Lengths are in mm and calibres in um, whatever the image size: a smaller `size` gives coarser
    pixels over the same field, not a smaller field.  Growth reach and clearance follow space
    colonisation models of the superficial plexus, the FAZ follows areas reported for healthy
    eyes, and the remaining defaults were set by eye against four 3 mm scans (OCTA-500) and so that
    the labelled vessels cover 5 to 10 % of the pixels at 128 px and more; coarser pixels widen
    the labels of thin vessels beyond that.
    """

    # Image.
    size: int = 304  # px, side of the square image; >= 64 (304 is the size of OCTA-500 3M)
    field_mm: float = 3.0  # mm, side of the field of view; 3 to 6

    # Foveal avascular zone (FAZ).
    faz_area_mean_mm2: float = 0.26  # mm^2; healthy eyes 0.257 +- 0.104
    faz_area_sd_mm2: float = 0.10  # mm^2
    faz_area_clip_mm2: Range = (0.05, 0.8)  # mm^2, smallest and largest area drawn
    faz_offset_mm: float = 0.3  # mm, largest distance of the FAZ from the image centre
    faz_axis_ratio: Range = (1.0, 1.35)  # long over short axis of the underlying ellipse
    faz_irregularity: float = 0.12  # amplitude of the first contour harmonic, share of the radius

    # Arteries and veins, grown by space colonisation.
    margin_mm: float = 0.25  # mm, growth starts this far outside the image, as vessels do
    roots_per_mm: Range = (0.9, 1.3)  # mm^-1, vessels entering per length of the border
    sinks_per_mm2: float = 90.0  # mm^-2, oxygen sinks offered to both kinds of tree
    reach_mm: float = 0.29  # mm, a sink attracts the nearest vessel within this (superficial)
    clearance_mm: float = 0.11  # mm, a vessel this close feeds a sink (0.18 if one kind grew alone)
    step_mm: float = 0.03  # mm, length of one segment
    iterations: int = 100  # growth steps at most
    inertia: float = 1.0  # weight of the old direction; attraction by the sinks weighs 1
    foveal_pull: float = 0.3  # weight of the direction to the fovea
    tangential_band: float = 1.8  # FAZ radii within which growth is turned along the FAZ
    tortuosity_um: Range = (8.0, 22.0)  # um, amplitude of the vessels' sideways waves
    arcade_probability: float = 0.6  # share of eyes in which a temporal arcade crosses a corner
    arcade_branch_share: float = 0.14  # share of an arcade's nodes that may branch, 5 per mm
    arcade_radius_um: Range = (24.0, 40.0)  # um, calibre where an arcade leaves the field; by eye
    murray_exponent: Range = (2.55, 2.9)  # k of r_p^k = sum r_c^k: large vessels to capillaries
    tip_radius_um: float = 4.6  # um, a terminal arteriole or venule, about a capillary
    tree_radius_sd: float = 0.12  # log-normal spread of calibre between trees
    vein_to_artery: float = 1.15  # ratio of calibres; veins are wider; by eye
    label_radius_um: float = 9.5  # um, thinner vessels are drawn but not labelled (RV 5 to 10 %)

    # Capillary bed: drawn, never labelled.
    capillary_spacing_mm: Range = (0.044, 0.056)  # mm, mean mesh width of the main layer
    capillary_elongation: Range = (1.25, 1.6)  # meshes are longer towards the fovea than across
    capillary_dropout: float = 0.2  # share of capillaries without detectable flow
    capillary_width_um: float = 10.0  # um, calibre of a capillary and the scanner's spot
    artery_free_zone_um: float = 30.0  # um, scale of the capillary-free zone along arteries

    # Acquisition.
    resolution_um: Range = (5.0, 8.0)  # um, sd of the optical blur (12 to 19 um full width)
    haze: Range = (0.05, 0.15)  # share of the signal that is spread out of focus over 50 um
    modulation: Range = (0.08, 0.22)  # sd of the smooth variation of capillary brightness
    speckle: Range = (0.2, 0.36)  # sd of the multiplicative speckle (mean 1)
    noise_floor: Range = (0.02, 0.05)  # decorrelation noise where nothing flows; 1 is white
    gamma: Range = (0.7, 1.3)  # display gamma
    vignetting: Range = (0.0, 0.25)  # signal lost in the corners
    motion_lines: float = 2.0  # mean number of bright or dark scan lines per image
    motion_shifts: float = 0.7  # mean number of saccades, each displacing the rows below it
    motion_shift_um: float = 25.0  # um, largest displacement by one saccade
    floater_probability: float = 0.15  # share of eyes with the shadow of a vitreous floater
    signal_loss_probability: float = 0.2  # share of eyes with a region of poor signal
    resolution_loss_probability: float = 0.1  # share of scans with twice the optical blur
