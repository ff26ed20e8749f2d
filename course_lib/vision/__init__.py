"""Small vision models, one module per task, imported by name."""
