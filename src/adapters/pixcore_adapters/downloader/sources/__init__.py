"""Sources that are searched by keyword: how each is asked and read (a ``Search``), and what they share (``paged``)."""
