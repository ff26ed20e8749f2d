"""Export the gradebook's scores to Canvas, Moodle and Gradescope."""
