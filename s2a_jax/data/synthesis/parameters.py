"""Every number behind a synthetic eye, with its unit and where it comes from."""

from dataclasses import dataclass

Range = tuple[float, float]


@dataclass(frozen=True)
class GrowthStage:
    """One stage of space colonisation.

    Attributes:
        sinks_per_mm2: oxygen sinks offered to both kinds of tree, mm^-2.
        reach_mm: a sink attracts the nearest vessel within this distance, mm.
        clearance_mm: a vessel within this distance feeds a sink, mm.
        branch_share: share of the nodes of ready vessels that may branch; a node is 0.03 mm long.
        inertia: weight of the old direction; attraction by the sinks weighs 1.
        shared: whether arteries and veins compete for the same sinks; otherwise each kind has half
            of them and ignores the other, so that both reach everywhere and cross.
        iterations: largest number of growth steps.
    """

    sinks_per_mm2: float
    reach_mm: float
    clearance_mm: float
    branch_share: float
    inertia: float
    shared: bool = True
    iterations: int = 100


@dataclass(frozen=True)
class EyeParameters:
    """Parameters of `synthesize_eye`; a `Range` is the (low, high) of a uniform draw per eye.

    Lengths are in mm and calibres in um, whatever the image size: a smaller `size` gives coarser
    pixels over the same field of view, not a smaller one. The FAZ follows areas reported for
    healthy eyes. All other defaults, growth reach and clearance among them, were set by eye, while
    looking at cases of OCTA-500 train and val and of OCTA-25K, and so that the labelled vessels
    cover 5 to 10 % of the pixels at 128 px and more; coarser pixels widen the labels of thin
    vessels beyond that.
    """

    # Image.
    size: int = 304  # px, side of the square image; >= 64 (304 is the size of OCTA-500 3M)
    field_mm: float = 3.0  # mm, side of the field of view, 2 to 6.5: vessels grow no further

    # Foveal avascular zone (FAZ).
    faz_area_mean_mm2: float = 0.26  # mm^2; healthy eyes 0.257 +- 0.104
    faz_area_sd_mm2: float = 0.10  # mm^2
    faz_area_clip_mm2: Range = (0.05, 0.8)  # mm^2, smallest and largest area drawn
    faz_offset_mm: float = 0.3  # mm, largest distance of the FAZ from the image centre
    faz_axis_ratio: Range = (1.0, 1.35)  # long over short axis of the underlying ellipse
    faz_irregularity: Range = (0.04, 0.14)  # sd of the third harmonic, share of the radius
    # Graders follow the innermost capillaries, whose middle lies this far beyond the outline.
    faz_label_um: float = 8.0  # um

    # Arteries and veins, grown by space colonisation.
    macula_mm: float = 6.0  # mm, side of the square that vessels fill, whatever the field of view
    margin_mm: float = 0.25  # mm, growth starts this far outside it
    arcade_height_mm: Range = (1.2, 3.2)  # mm, distance of an arcade from the fovea; by eye
    arcade_wander_mm: Range = (0.1, 0.4)  # mm, amplitude of its bends; by eye
    arcade_end_radius_um: Range = (6.0, 13.0)  # um, where an arcade leaves the macula; by eye
    border_roots: tuple[int, int] = (12, 18)  # further vessels that enter over the border; by eye
    growth: tuple[GrowthStage, ...] = (
        GrowthStage(
            24, reach_mm=0.9, clearance_mm=0.3, branch_share=0.14, inertia=2.5, shared=False
        ),
        GrowthStage(60, reach_mm=0.4, clearance_mm=0.13, branch_share=0.14, inertia=1.8),
        GrowthStage(150, reach_mm=0.25, clearance_mm=0.08, branch_share=0.14, inertia=1.2),
        GrowthStage(300, reach_mm=0.15, clearance_mm=0.06, branch_share=0.2, inertia=1.0),
    )
    step_mm: float = 0.03  # mm, length of one segment
    foveal_pull: float = 1.2  # weight of the pull to the fovea, there; 1/e of it 1.5 mm away
    foveal_zone_mm: float = 0.9  # mm; no vessel this close to the fovea leads away from it
    tangential_band: float = 1.8  # FAZ radii within which growth is turned along the FAZ
    tortuosity_um: Range = (5.0, 30.0)  # um, amplitude of the vessels' sideways waves
    # k of r_p^k = sum r_c^k, one draw an eye for all its vessels; by eye, near Murray's own 3.
    murray_exponent: Range = (2.75, 3.05)
    tip_radius_um: float = 3.0  # um, a terminal arteriole or venule, about a capillary
    tree_radius_sd: float = 0.12  # log-normal spread of calibre between trees
    vein_to_artery: float = 1.15  # ratio of calibres; veins are wider; by eye
    # Thinner vessels are drawn but not labelled. Graders mark 6.9 % of 3 mm scans, about what these
    # labels cover, and 9.0 % of 6 mm scans, a fifth less than these.
    label_radius_um: float = 8.0  # um, in a field of view of 3 mm
    label_field_power: float = 0.15  # exponent of its growth with the field of view
    # Graders draw vessels wider in coarse pixels: added to the radius of a label, by the areas and
    # edges of the masks of OCTA-500 train and val, and by what networks trained so draw there.
    label_widening_um: float = 1.6  # um for each mm of the field of view beyond the next
    label_widening_from_mm: float = 3.4  # mm

    # Capillary bed: drawn, never labelled.
    capillary_spacing_mm: Range = (0.040, 0.055)  # mm, from one to the next; by eye
    capillary_width_um: float = 10.0  # um, calibre of a capillary and the scanner's spot
    capillary_flow_sd: float = 0.15  # variation of a capillary's signal, 1 is white
    perifoveal_thinning: Range = (0.1, 0.6)  # signal lost by the capillaries at the FAZ
    perifoveal_reach_mm: Range = (0.15, 0.4)  # mm beyond the FAZ at which 1/e of that is left
    # mm beyond the FAZ at which the deep plexus is complete; its own avascular zone is labelled
    # where it is half complete. By the brightness along the outlines of OCTA-25K.
    deep_onset_mm: Range = (0.08, 0.3)
    dropout_probability: float = 0.35  # share of eyes with patches of few capillaries
    dropout: Range = (0.5, 1.0)  # signal lost there, so that a gap need not be a FAZ
    deep_share: float = 0.5  # brightness of the deep plexus seen through the superficial one
    bed_signal: Range = (0.5, 0.85)  # brightness of the capillaries; larger vessels have 1
    artery_free_zone_um: float = 30.0  # um, scale of the darker zone along arteries

    # Acquisition.
    resolution_um: Range = (5.0, 8.0)  # um, sd of the optical blur (12 to 19 um full width)
    haze: Range = (0.08, 0.3)  # share of the signal that is spread out of focus over 50 um
    modulation: Range = (0.08, 0.22)  # sd of the smooth variation of capillary brightness
    speckle: Range = (0.15, 0.4)  # sd of the multiplicative speckle (mean 1)
    noise_floor: Range = (0.02, 0.07)  # decorrelation noise where nothing flows; 1 is white
    gamma: Range = (0.7, 1.3)  # display gamma
    saturation_percentile: Range = (97.0, 99.7)  # %, pixels above are shown white
    vignetting: Range = (0.0, 0.25)  # signal lost in the corners
    projection: Range = (-0.6, 0.4)  # brightness of large vessels in the deep slab; < 0: shadows
    line_gain: Range = (0.01, 0.08)  # sd of the scan lines' brightness
    bulk_motion_probability: float = 0.3  # share of eyes with the next two
    bulk_motion: Range = (0.0, 0.1)  # sd of the signal that slow eye motion adds to whole lines
    streaks: Range = (0.0, 0.04)  # sd of noise that is drawn out along the scan lines
    motion_lines: float = 3.0  # mean number of bright or dark scan lines per image
    motion_shifts: float = 1.2  # mean number of saccades, each displacing the rows below it
    motion_shift_um: float = 40.0  # um, largest displacement by one saccade
    floater_probability: float = 0.15  # share of eyes with the shadow of a vitreous floater
    signal_loss_probability: float = 0.35  # share of eyes with a region of poor signal
    signal_loss: Range = (0.2, 0.8)  # signal lost there
    reflex_probability: float = 0.35  # share of eyes with the specks of a foveal reflex
    dark_border_probability: float = 0.04  # that a side of the image ends without signal
    resolution_loss_probability: float = 0.1  # share of scans with twice the optical blur

    # Export: images often pass through fewer pixels or JPEG before they reach a data set.
    resampling_probability: float = 0.2  # share of images that are downsampled and enlarged
    resampling: Range = (0.6, 0.95)  # their smaller side, relative to the final one
    jpeg_probability: float = 0.2  # share of images that pass through JPEG
    jpeg_quality: tuple[int, int] = (30, 90)  # as Pillow counts it

    @property
    def least_label_radius_um(self) -> float:
        """Smallest radius, um, of a labelled vessel in this field of view."""
        return self.label_radius_um * (self.field_mm / 3) ** self.label_field_power

    @property
    def widening_um(self) -> float:
        """What graders add to a vessel's radius in this field of view, um."""
        return self.label_widening_um * max(0.0, self.field_mm - self.label_widening_from_mm)
