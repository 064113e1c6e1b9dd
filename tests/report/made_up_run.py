"""A made-up workdir with every file that the report reads."""

import csv
import json

import numpy as np
from PIL import Image

CONFIG = {
    "model": {"name": "s2anet", "variant": "small", "width": None, "dtype": "float32"},
    "data": {"name": "octa500", "subset": "3M", "root": "data/octa500"},
    "train": {"epochs": 50, "batch_size": 8},
    "optimizer": {"learning_rate": 0.002, "name": "adam"},
    "augment": {"shift": 0, "crop": None},  # equal to the default 0.0; None: the default
    "eval": {"threshold": 0.5},
    "seed": 7,
}
DEFAULTS = {
    "model": {"name": "s2anet", "variant": "small", "width": None, "dtype": "float32"},
    "data": {"name": "octa500", "subset": "3M", "root": "data/octa500"},
    "train": {"epochs": 50, "batch_size": 8},
    "optimizer": {"learning_rate": 0.003, "name": "adam"},
    "augment": {"shift": 0.0, "crop": 192},
    "eval": {"threshold": 0.5},
    "seed": 0,
}
ENVIRONMENT = {
    "started": "2026-03-01T10:00:00+01:00",
    "ended": "2026-03-01T11:05:00+01:00",
    "command": ["main.py", "--config", "configs/octa500.py"],
    "commit": "0123456789abcdef0123456789abcdef01234567",
    "uncommitted_changes": False,
    "versions": {"python": "3.12.1", "jax": "0.10.2"},
    "devices": [{"kind": "TPU v5e", "platform": "tpu", "count": 8}],
    "processes": 1,
    "hardware": {"processor": "Xeon", "cores": 24, "memory_gib": 188.0, "system": "Linux"},
}
METRICS = {
    "dice": 0.9, "jaccard": 0.82, "sensitivity": 0.89, "specificity": 0.985, "precision": 0.91,
    "accuracy": 0.977, "fdr": 0.09, "g_mean": 0.936, "kappa": 0.886, "auc": 0.984, "cl_dice": 0.93,
    "hd95_px": 4.2, "hd95_um": 41.5, "assd_px": 0.83, "assd_um": 8.2, "betti0_error": 11.4,
}  # fmt: skip
BIOMARKERS = {
    "faz_area_mm2": 0.3, "faz_perimeter_mm": 2.2, "faz_circularity": 0.7, "vessel_density": 0.07,
    "skeleton_density_per_mm": 3.4, "mean_calibre_um": 28.0, "fractal_dimension": 1.42,
    "fd300_percent": 11.0, "branch_points_per_mm2": 6.0,
}  # fmt: skip


def write_run(folder, *, cases=6, epochs=50, picture=None, seed=0):
    """Writes the workdir and returns the content of results/test.json."""
    rng = np.random.default_rng(seed)
    for name in ("overlays", "results/test"):
        (folder / name).mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(CONFIG))
    (folder / "defaults.json").write_text(json.dumps(DEFAULTS))
    (folder / "environment.json").write_text(json.dumps(ENVIRONMENT))
    _write_metrics(folder / "metrics.jsonl", epochs, rng)
    picture = np.full((8, 24, 3), 90, np.uint8) if picture is None else picture
    pictures = {"best": ["test/best_10455.png"], "worst": ["test/worst_10461.png"]}
    for path in ("overlays/10441.png", *(f"results/{p[0]}" for p in pictures.values())):
        Image.fromarray(picture).save(folder / path)
    dice = {task: 1 - rng.gamma(2, 0.02, cases) for task in ("rv", "faz")}
    with (folder / "results/test.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "rv_dice", "rv_hd95_px", "faz_dice", "faz_hd95_px", "laterality"])
        for i in range(cases):
            cells = f"{dice['rv'][i]:.6f}", "4.200000", f"{dice['faz'][i]:.6f}", "", "OD"
            writer.writerow([10451 + i, *cells])
    result = make_result(cases, pictures, rng)
    (folder / "results/test.json").write_text(json.dumps(result))
    return result


def _write_metrics(path, epochs, rng):
    rows = []
    for step in range(10, epochs * 18 + 1, 10):
        done = step / (epochs * 18)
        rv, faz = (rate * np.exp(-4 * done) + 0.1 + rng.gamma(2, 0.02) for rate in (0.8, 1.2))
        epoch = (step - 1) // 18
        alpha = 0.5 + 0.3 * np.sin(epoch)
        rows.append({
            "step": step, "alpha": alpha, "grad_norm": np.exp(-2 * done + rng.normal(0, 0.3)),
            "loss": alpha * rv + (1 - alpha) * faz, "loss_rv": rv, "loss_faz": faz,
            "learning_rate": 0.002 * np.cos(np.pi * done / 2), "epoch": epoch,
            "images_per_second": 31.7 + rng.normal(0, 1), "cases_octa500": 64,
            "cases_synthetic": 16,
        })  # fmt: skip
    for epoch in range(5, epochs + 1, 5):
        rv, faz = (0.5 + limit * (1 - np.exp(-epoch / 9)) for limit in (0.39, 0.46))
        rv -= 0.02 * (epoch > 40)
        score = (rv + faz) / 2
        row = {"step": epoch * 18, "val_rv_dice": rv, "val_faz_dice": faz, "val_score": score}
        rows.append(row)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def make_result(cases, pictures, rng):
    x = np.linspace(0, 1, 100)
    curves, metrics, biomarkers = {}, {}, {}
    for task, power in (("rv", 0.06), ("faz", 0.01)):
        curves[task] = {
            "roc": {"fpr": list(x), "tpr": list(x**power), "auc": 1 / (1 + power)},
            "pr": {"recall": list(x), "precision": list(1 - x ** (0.4 / power)),
                   "average_precision": 0.9432},
            "calibration": {"confidence": list(x[5::10]), "frequency": list(x[5::10] ** 1.4),
                            "pixels": [4_000_000, 90_000, *[9000] * 7, 200_000],
                            "ece": 0.0123},
        }  # fmt: skip
        metrics[task] = {
            name: {"mean": mean, "sd": 0.04 * mean, "low": 0.97 * mean, "high": 1.02 * mean,
                   "cases": cases, "pooled": mean + 0.001}
            for name, mean in METRICS.items()
            if (task, name) != ("faz", "cl_dice")
        }  # fmt: skip
    for name, mean in BIOMARKERS.items():
        true = rng.normal(mean, 0.2 * mean, cases)
        difference = rng.normal(0.02 * mean, 0.05 * mean, cases)
        bias, spread = difference.mean(), 1.96 * difference.std(ddof=1)
        biomarkers[name] = {
            "cases": cases, "bias": bias, "low": bias - spread, "high": bias + spread,
            "icc": 0.871, "predicted": list(true + difference), "true": list(true),
            "ids": [str(10451 + i) for i in range(cases)],
        }  # fmt: skip
    return {
        "split": "test", "protocol": "native", "threshold": 0.5, "network": "s2anet",
        "fields": {"width": 16}, "step": 720, "cases": cases, "um_per_px": 9.868,
        "metrics": metrics, "curves": curves, "biomarkers": biomarkers, "pictures": pictures,
    }  # fmt: skip
