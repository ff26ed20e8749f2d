"""Lesson 4: JPEG, block PCA, and an autoencoder with PCA as its shortcut."""
