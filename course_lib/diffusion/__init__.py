"""Lessons 6 and 7: the course's own diffusion models, their training and evaluation."""
