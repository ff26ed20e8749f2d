"""Run the ablation of lesson 4, section 5, at full length, and write the lesson's record of it.

Run it in the root of a clone: ``COURSE_MODE=full python docs/record_ablation.py``. It executes the
lesson's own definitions, trains its four networks from several initialisations, on a GPU if there
is one, and writes ``data/checkpoints/lesson-4-ablation.json``.
"""

import ast
import datetime
import itertools
import json
import platform
import time
from pathlib import Path
from typing import Any

import torch
from course_grading.assign import cells
from course_grading.assign.source import read_lesson

ROOT = Path(__file__).resolve().parents[1]
RECORD = ROOT / "data/checkpoints/lesson-4-ablation.json"
SEEDS = (0, 1, 2)
DEFINITIONS = """
    MAX_PHOTOS psnr measure linear pca_convolution weight conv start_at_zero MyAutoencoder
    originals reconstruct mean_psnr by_pca pca_psnr COUNT crops drawings training_images
    reconstruction_loss train
"""


def lesson_names() -> dict[str, Any]:
    """What the lesson's cells define up to its training, without figures and output."""
    notebook = cells.build_notebook(read_lesson(ROOT / "solutions/04_reducing_data.md"))
    sources = (cell.source for cell in notebook.cells if cell.cell_type == "code")
    names: dict[str, Any] = {}
    for source in itertools.takewhile(lambda source: "trained = {}" not in source, sources):
        kept = [statement for statement in ast.parse(source).body if is_needed(statement)]
        exec(compile(ast.Module(kept, []), "lesson 4", "exec"), names)
    return names


def is_needed(statement: ast.stmt) -> bool:
    """Whether it imports something, or defines a name that the training needs."""
    if isinstance(statement, ast.ImportFrom):
        return "figures" not in str(statement.module) and "widgets" not in str(statement.module)
    if isinstance(statement, ast.Assign):
        stored = {node.id for node in ast.walk(statement.targets[0]) if isinstance(node, ast.Name)}
        return bool(stored & set(DEFINITIONS.split()))
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        return statement.name in DEFINITIONS.split()
    return isinstance(statement, ast.Import)


def gain_of(names: dict[str, Any], activation: type, kernel: int, seed: int, device: str) -> float:
    """Train one network: the mean PSNR on the lesson's photos, in dB above PCA's."""
    torch.manual_seed(seed)
    network = names["MyAutoencoder"](activation, kernel).to(device)
    names["train"](network, names["reconstruction_loss"])
    return round(names["mean_psnr"](network.cpu()) - names["pca_psnr"], 4)


def main() -> None:
    """Train every network from every initialisation, and write the gains in dB above PCA."""
    torch.backends.cudnn.allow_tf32 = False
    device = "cuda" if torch.cuda.is_available() else "cpu"
    names, start, rows = lesson_names(), time.monotonic(), []
    names["training_images"] = names["training_images"].to(device)
    for sees, kernel in {"its block": 1, "neighbours": 3}.items():
        for kind, activation in {"linear": torch.nn.Identity, "not linear": torch.nn.SiLU}.items():
            gains = [gain_of(names, activation, kernel, seed, device) for seed in SEEDS]
            rows.append({"sees": sees, "kind": kind, "gains": gains})
            print(rows[-1], flush=True)
    card = {
        "command": "COURSE_MODE=full python docs/record_ablation.py",
        "date": datetime.date.today().isoformat(),
        "hardware": torch.cuda.get_device_name() if device == "cuda" else platform.processor(),
        "torch": torch.__version__,
        "minutes": round((time.monotonic() - start) / 60, 1),
        "photos": len(names["originals"]),
        "images": names["COUNT"],
        "steps": names["STEPS"],
        "batch": names["BATCH"],
        "seeds": SEEDS,
        "networks": rows,
    }
    RECORD.write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
