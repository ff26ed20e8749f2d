"""Lesson 4, reducing data: JPEG by hand, and the autoencoder of Stable Diffusion at a small
size.
"""
