"""Benchmarks of the course and of other implementations: ``uv run python -m benchmarks``."""
