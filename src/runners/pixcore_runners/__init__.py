"""The doors: settings, the composition root, the runners and the ``pixcore`` command."""
