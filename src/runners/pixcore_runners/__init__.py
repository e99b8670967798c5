"""The runners: settings, the composition root, the engines that run chunks, and the ``pixcore`` command."""
