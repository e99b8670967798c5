"""The direct runner: chunks in this process, or in several on this machine."""
