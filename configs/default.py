"""Every field of a run, with meaning, unit and source.

The other configurations start from this one. A field that is None takes the value of the variant's
recipe (`s2a_jax/config/recipes.py`); a run writes the resolved values to its workdir.
"""

from ml_collections import ConfigDict
from ml_collections.config_dict import placeholder

from s2a_jax.models.build import field_placeholders


def get_config() -> ConfigDict:
    """All fields at their defaults."""
    config = ConfigDict()
    config.seed = 0  # initial weights, order of cases, augmentation, dropout

    config.model = ConfigDict(
        {
            "name": "s2anet",  # s2anet, unet, transunet, jointseg, vaffnet
            "variant": "base",  # base (as published); small and tiny suit a CPU
            "dtype": "float32",  # of the computation, or bfloat16; parameters stay float32
            # s2anet, transunet: R50+ViT-B_16.npz to start the encoder from (docs/parity.md).
            "pretrained": placeholder(str),
            # A trained network to start from: a workdir, a checkpoint, a .safetensors file, or a
            # name such as sim_to_real (docs/finetune.md).
            "start_from": placeholder(str),
            # Fields of the network, such as width=32; its file below s2a_jax/models describes
            # them. None: the variant's value.
            **field_placeholders(),
        }
    )
    config.data = ConfigDict(
        {
            "name": "octa500",  # octa500, rose, folder (your own), prepared or synthetic
            "root": "data/octa500",  # folder of the data set
            # octa500: 3M (3x3 mm, 304 px) or 6M (6x6 mm, 400 px); rose: 1, 2, O, Z or H.
            "subset": "3M",
            # The projection; None: the first. octa500: ILM_OPL, FULL, OPL_BM; rose: SVC, DVC,
            # SVC_DVC of 1, or SCC, WRCC, DCC of O, Z, H; folder: a folder below the images' folder;
            # synthetic: superficial, deep, whole. Several, FULL,OPL_BM,ILM_OPL, become the channels
            # of one image in this order; vaffnet takes one, or three in the order whole, deep,
            # superficial.
            "slab": placeholder(str),
            "incomplete": "error",  # for a case that lacks one of several slabs; skip leaves it out
            # The split folder of the training cases, where there are several, as train_manual and
            # train_sam.
            "train_split": "train",
            # Training cases to draw by `seed`; 0: all. With the same seed, a smaller draw is a
            # subset of a larger one.
            "train_cases": 0,
            # Cross-validation: with `folds` > 0, train and val cases together are split into that
            # many folds, each patient in one; fold number `fold` (from 0) validates and the others
            # train. Test cases stay apart. `compare --folds` sets both.
            "folds": 0,
            "fold": 0,
            "fold_seed": 0,  # of the division, the same for all networks and seeds
            # Regular expression that finds the patient in a case's name, as "(p[0-9]+)"; None: the
            # name without od, os, r, l, left or right.
            "patient": placeholder(str),
            # Resume or evaluate even if the data set has changed since the run started.
            "accept_changes": False,
            "size": 0,  # side in pixels, a multiple of 16; 0: the subset's own
            # GiB of decoded cases that each process keeps in memory; what does not fit is decoded
            # for each use. 4 GiB hold 15,000 cases of 304 px.
            "cache_gib": 4.0,
            # Shares of the training cases from other sources; the rest comes from `name`.
            "mixture": {
                "synthetic": 0.0,  # in [0, 1)
                # Each is "name=folder,root=DIR,weight=0.2", also with subset=, train_split= and
                # slab= (several slabs as slab=FULL+OPL_BM, as many as the main source has).
                "others": (),
            },
            "synthetic": {
                "root": "data/synthetic",  # where synthetic eyes are cached
                "seed": 0,
                # Side of the field of view in mm, drawn per eye in this range, within 2 to 6.5.
                "field_mm": (3.0, 3.0),
                # True: training eyes are new in every pass, made by processes beside the training;
                # val and test stay fixed. False: `train` eyes are made once and kept.
                "stream": False,
                # Share of the training eyes that are shown as the deep slab, with the FAZ of the
                # deep plexus and no vessels' mask.
                "deep_share": 0.0,
                "train": 96,  # number of eyes; with `stream`, per pass
                "val": 8,
                "test": 24,
            },
        }
    )
    config.objective = ConfigDict(
        {
            # Weights of the two tasks: dwb (the reference's), dwb_half_sine (its older form),
            # fixed, uncertainty (learned, Kendall 2018), dwa (by how fast losses fall, Liu 2019).
            "balance": "dwb",
            "fixed_rv_weight": 0.8,  # alpha of `fixed`; 0.8 in the released PyTorch code
            "stop_alpha_gradient": False,  # the reference differentiates through alpha
            "bce_weight": placeholder(float),  # of the cross-entropy that is added to Dice
            # Of the soft clDice loss (Shit 2021), which is added for vessels: it counts gaps and
            # branches rather than pixels. 0: off.
            "cldice_weight": 0.0,
            # Erosions of its skeletons: the radius of the widest vessels, pixels; 8 suffice for
            # OCTA-500 3M, in 6M some have 12.
            "cldice_iterations": 8,
        }
    )
    config.optimizer = ConfigDict(
        {
            "name": placeholder(str),  # adam, adamw, sgd
            "learning_rate": placeholder(float),
            "schedule": placeholder(str),  # poly_epoch (the reference's) or cosine with warm-up
            "power": 0.9,  # of poly_epoch
            "warmup_fraction": 0.03,  # of all steps, for cosine
            "b1": 0.9,
            "b2": 0.999,
            "eps": 1e-8,
            "weight_decay": 1e-4,  # adamw only
            "clip_norm": placeholder(float),  # 0: off
            # Factor of the learning rate for the encoder; 0: it stays as it is. s2anet, transunet,
            # unet.
            "encoder_rate": 1.0,
        }
    )
    config.train = ConfigDict(
        {
            # About how many updates to make: epochs, and size, crop, batch size and the epochs
            # between validations follow from this and from the images where they have no value
            # (docs/finetune.md). 0: they are the variant's recipe's.
            "updates": 0,
            "epochs": placeholder(int),
            "batch_size": placeholder(int),  # over all devices together
            # Parts of a batch that are computed one after the other, for one update with the mean
            # of their gradients. Batch norm takes its statistics from each part, and updates the
            # running ones once a part, in order; the ratio of losses in DWB is each part's own.
            "accumulate": 1,
            # Exponential average of the parameters; 0: off. The decay of update k, counted from 0,
            # is at most (1 + k) / (10 + k).
            "ema_decay": 0.0,
            # What the backward pass computes again instead of keeping it: none, or (inside of)
            # blocks, for less memory and about a third more time.
            "remat": "none",
        }
    )
    config.augment = ConfigDict(  # described in s2a_jax/training/augmentation.py
        {
            "probability": 0.5,  # of each transformation, drawn independently
            "shift": placeholder(float),  # fraction of the side
            "scale": placeholder(float),
            "aspect": placeholder(float),
            "rotate_degrees": placeholder(float),
            "flip": True,
            "rot90": True,
            "elastic": placeholder(bool),
            "gamma": placeholder(float),  # |log2| of the exponent; 0: off
            # Photometric, 0: off; described in s2a_jax/training/photometry.py.
            "contrast": 0.0,  # in [0, 1]
            "noise": 0.0,  # in [0, 1], deviation of the speckle
            "motion_stripes": 0.0,  # in [0, 1], change in a scan line's brightness
            "local_shadow": 0.0,  # in [0, 1], light that a floater absorbs
            "blur": 0.0,  # in [0, 3], pixels
            "crop": placeholder(int),  # side in pixels, a multiple of 16; 0: whole images
        }
    )
    config.mesh = ConfigDict({"data": -1, "fsdp": 1})  # number of devices; -1: all that fsdp leaves
    config.eval = ConfigDict(
        {
            "every_epochs": placeholder(int),
            "batch_size": 0,  # 0: one case per device
            # native (native size, `threshold`), s2anet (at 320 px, above 128/255), or otsu (native
            # size, a threshold per probability map); see docs/evaluation.md.
            "protocol": "native",
            "threshold": 0.5,  # of the probability, for `native`, validation and overlays
            "window": "120px",  # side of the FAZ's perivascular region, px or um ("1200um")
            # The checkpoint that is evaluated at the end and becomes weights.safetensors: best (by
            # mean Dice over all masks of the validation cases) or last (the end of the schedule).
            "choose": "best",
            "postprocess": False,  # also score post-processed FAZ masks
            # Pixel pitch of the main source's files; overrides the data set's own. Weights keep it.
            "um_per_px": placeholder(float),
            "overlays": 4,  # number of validation cases to draw
        }
    )
    config.log = ConfigDict({"every_steps": 10})
    return config.lock()


SMOKE = {
    "model.variant": "tiny",
    "model.start_from": None,
    "data.size": 96,
    "data.synthetic.train": 8,
    "data.synthetic.val": 2,
    "data.synthetic.test": 2,
    "train.epochs": 2,
    "train.batch_size": 4,
    "augment.crop": 64,
    "eval.every_epochs": 1,
}
"""What `--config FILE:smoke` changes: the same run in a CPU minute; the network is not useful."""
