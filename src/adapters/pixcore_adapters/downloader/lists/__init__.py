"""URL lists as people have them: their formats, columns and faults. ``reading`` puts these together."""
