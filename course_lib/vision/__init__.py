"""Lesson 3's vision models, one module per task."""
