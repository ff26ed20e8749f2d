"""Measurements against peers: ``uv run python -m benchmarks [NAME ...]``."""
