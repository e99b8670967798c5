"""URL lists: their formats, columns and faults. ``reading`` combines these."""
