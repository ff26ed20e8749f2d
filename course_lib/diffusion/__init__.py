"""The course's own Stable Diffusion: what it is trained on, how, and who judges its pictures."""
