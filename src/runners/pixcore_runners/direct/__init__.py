"""The direct runner: runs chunks in this process, or in several processes of this machine."""
