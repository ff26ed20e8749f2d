"""Reports on a graded class: tables, item analysis and similar code."""
