"""Small real models, one module a task, imported by name."""
