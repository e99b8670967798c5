"""Adapters: one folder for each port, one file for each technology. The core imports none of them."""
