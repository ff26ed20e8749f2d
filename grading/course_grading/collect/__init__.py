"""Collect submissions: find them, read them safely, and rebuild each from the release."""
