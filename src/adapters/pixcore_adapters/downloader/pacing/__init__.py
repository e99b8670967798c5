"""Pace that fetchers share: in one process, on one machine, or on several machines by a Redis."""
