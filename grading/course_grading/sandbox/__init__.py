"""The sandbox for students' code: ``host`` starts it, ``guest`` runs in it. See ``README.md``."""
