"""Stable Diffusion 1.x written out: Rombach et al. (2022), arXiv:2112.10752. See README.md."""
