"""The course's website: lessons as pages, and the course's models in the reader's browser."""
