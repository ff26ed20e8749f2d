"""Lesson 5: the U-Net, for segmentation and as a denoiser."""

from course_lib.unet.model import DecoderStep, UNet

__all__ = ["DecoderStep", "UNet"]
