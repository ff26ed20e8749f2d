"""``course train`` and ``course evaluate``."""

import json
from pathlib import Path
from typing import Annotated

import typer

from course_lib.assets import paths
from course_lib.console import fail, require_checkout, require_modules


def train(
    name: Annotated[
        str, typer.Argument(help="A model of the lessons, as course evaluate lists them, or all.")
    ],
    epochs: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Epochs of 2,000 examples (tiny-sd: 5,000; denoiser, flow and one-step: 1,000); "
            "by default the recipe's. The cards list the commands of the shipped models.",
        ),
    ] = None,
    workers: Annotated[
        int, typer.Option(min=0, help="Processes that generate examples ahead of time.")
    ] = 1,
    seed: Annotated[
        int,
        typer.Option(min=0, max=2**63 - 1, help="The seed of the initial weights and examples."),
    ] = 0,
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda or mps; by default the fastest one here.")
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(help="Continue a stopped run from this file.")
    ] = None,
    learning_rate: Annotated[
        float | None,
        typer.Option(help="The peak of the one-cycle schedule, above 0; by default the recipe's."),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Examples per step; by default the recipe's. A GPU is faster with more.",
        ),
    ] = None,
    bfloat16: Annotated[
        bool,
        typer.Option("--bfloat16", help="Mixed precision on a CPU: faster on processors with AMX."),
    ] = False,
    start: Annotated[
        Path | None,
        typer.Option(help="A .safetensors file of initial weights; by default they are random."),
    ] = None,
    decoder_only: Annotated[
        bool,
        typer.Option(
            "--decoder-only",
            help="Keep the autoencoder's encoder: models trained on its latents remain valid.",
        ),
    ] = False,
    without: Annotated[
        str | None,
        typer.Option(help="Leave this drawing style out of the training, and evaluate on it."),
    ] = None,
    out: Annotated[Path, typer.Option(help="The folder for the model and its card.")] = Path(
        "trained"
    ),
    ship: Annotated[
        bool, typer.Option("--ship", help="Replace the clone's shipped checkpoint instead.")
    ] = False,
) -> None:
    """Train a model of the lessons and evaluate it. --resume continues a run stopped by Ctrl+C."""
    require_modules("torchmetrics", "pycocotools", extra="metrics")
    # Shells expand "~" after a space, but not in --out=~/models.
    out = paths.expand_user(out)
    resume, start = resume and paths.expand_user(resume), start and paths.expand_user(start)
    if ship:
        require_checkout()
    if (resume or start) and name == "all":
        fail("--resume and --start are for one model: name it instead of all")
    from rich.console import Console

    from course_lib.training import recipes
    from course_lib.training.evaluate import metrics_table
    from course_lib.training.run import Run

    console = Console(soft_wrap=True)
    try:
        runs = [
            Run(
                name=model,
                epochs=epochs,
                workers=workers,
                seed=seed,
                device=device,
                out=out,
                ship=ship,
                resume=resume,
                learning_rate=learning_rate,
                batch_size=batch_size,
                bfloat16=bfloat16,
                start=start,
                decoder_only=decoder_only,
                held_out_style=without,
            )
            for model in (recipes.names() if name == "all" else [name])
        ]
        for run in runs:
            result = run.train()
            for message in result.messages:
                console.print(message, highlight=False, markup=False)
            if not result.finished:
                raise typer.Exit(130)  # a shell's exit code for an interrupted command
            if result.metrics:
                console.print(metrics_table(result.metrics))
    except (ValueError, OSError, FloatingPointError) as error:
        fail(str(error))


def evaluate(
    names: Annotated[
        list[str] | None, typer.Argument(help="Which models; by default all that are shipped.")
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            help="For example new-backgrounds, or photos for the autoencoder; by default all."
        ),
    ] = None,
    count: Annotated[int, typer.Option(min=1, max=1000, help="Test examples of each split.")] = 500,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON, one object per model and split.")
    ] = False,
    checkpoint: Annotated[
        Path | None, typer.Option(help="Evaluate this .safetensors file instead.")
    ] = None,
) -> None:
    """Evaluate the models of the lessons on data that they were not trained on."""
    from rich.console import Console

    from course_lib.training.evaluate import evaluate_models, metrics_table

    checkpoint = checkpoint and paths.expand_user(checkpoint)
    try:
        with Console(stderr=True).status("evaluating") as status:
            rows = evaluate_models(
                names,
                split,
                count,
                checkpoint,
                lambda message: status.update(f"evaluating {message}"),
            )
    except (ValueError, FileNotFoundError, ModuleNotFoundError) as error:
        fail(str(error))
    if as_json:
        print(json.dumps(rows, indent=2))
    else:
        Console().print(metrics_table(rows))
