"""The course's grader, from a lesson's source to scores on a platform; see grading/README.md."""
