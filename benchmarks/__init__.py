"""Benchmarks of the course and its peers: ``uv run python -m benchmarks [NAME ...]``."""
