"""Build the lessons: from an author's source to nbgrader's assignments and learners' notebooks."""
