"""What every adapter of a port must keep, as tests to inherit: one module a port.

Users have this package as ``pixcore_contract``, so its suites import nothing else of the tests; but ``runner``, which
is for the doors of pixcore itself and stays here.
"""
