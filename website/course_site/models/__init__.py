"""The course's trained models as files that a page can load."""
