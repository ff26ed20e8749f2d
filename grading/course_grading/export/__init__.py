"""Export scores, feedback and questions to Canvas, Moodle and Gradescope."""
