"""Lessons 6 to 8: the course's own diffusion models, their training and evaluation."""
