"""From an executed lesson to pages that Sphinx can read."""
