"""nbgrader's gradebook: configuration, recording of results, feedback pages, audit, scores."""
