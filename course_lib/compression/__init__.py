"""Lesson 4: JPEG, block PCA, and a small version of Stable Diffusion's autoencoder."""
