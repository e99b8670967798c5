"""The contracts of the ports, as test classes to inherit: one module for each port.

Users import this package as ``pixcore_contract``, so its suites import nothing else of the tests. Only ``runner`` does:
it is for pixcore's own runners and is not part of ``pixcore_contract``.
"""
