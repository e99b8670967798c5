"""One module a version of the schema: the step that leads to it."""
