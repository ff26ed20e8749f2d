"""nbgrader's gradebook: configuration, recording results, feedback pages, the audit, scores."""
