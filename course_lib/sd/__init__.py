"""Stable Diffusion 1.x by hand: Rombach et al. (2022), arXiv:2112.10752. Each file holds one part
of it.
"""
