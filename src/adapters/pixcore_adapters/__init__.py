"""The outer ring: one folder a port, one file a technology. The core knows none of them."""
