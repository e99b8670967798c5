"""Sources that are searched by keyword: a ``Search`` for each, and what they share (``paged``)."""
