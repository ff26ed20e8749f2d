"""The autoencoder of the text-to-image model and of lesson 6's denoiser.

It has Stable Diffusion's architecture, and was trained with an earlier version of the course: its
card says how. Lesson 4's later one is of another architecture, and its latents differ.
"""

from course_lib.assets import checkpoints
from course_lib.sd.vae import AutoencoderConfig, AutoencoderKL

NAME = "tiny-sd-autoencoder"  # of the checkpoint
CONFIG = AutoencoderConfig(
    block_out_channels=(16, 32, 64, 128),
    layers_per_block=1,
    norm_num_groups=2,
    # 1 / 1.33: the inverse standard deviation of its latents of captioned pictures
    scaling_factor=0.75,
)


def load() -> AutoencoderKL:
    """The shipped autoencoder, on the CPU, in eval mode."""
    model = AutoencoderKL(CONFIG)
    model.load_state_dict(checkpoints.load(NAME))
    return model.eval()
