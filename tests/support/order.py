"""The test files that start first."""

# The slowest files, roughly slowest first. They start first, so that no worker process is left with
# one of them when the others have finished.
LONGEST = (
    "project/test_types.py",
    "browser/test_lab.py",
    "grading/test_class_of_40.py",
    "website/test_build.py",
    "grading/gradebook/test_consistency.py",
    "grading/test_batch.py",
    "sd/test_weights.py",
    "grading/test_attacks.py",
    "grading/test_releases.py",
    "widgets/test_unet.py",
    "commands/test_stable_diffusion.py",
    "commands/test_cli.py",
    "commands/test_train_evaluate.py",
    "grading/sandbox/test_host.py",
    "grading/test_class.py",
    "grading/test_seeded.py",
    "vision/test_checkpoints.py",
    "figures/test_unet.py",
    "commands/test_grading_day.py",
    "compression/test_autoencoder.py",
    "diffusion/test_checkpoints.py",
    "diffusion/test_text_to_image.py",
    "project/test_lessons.py",
    "project/test_architecture.py",
)
