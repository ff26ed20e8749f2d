"""Collect submissions: find them, read untrusted files safely, and rebuild each notebook."""
