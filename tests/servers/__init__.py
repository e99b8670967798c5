"""Private real servers for the tests, without root: Redis, PostgreSQL, moto, OpenStack Swift and Azurite.

A test asks for a fixture of ``fixtures.py``. The servers that it gives are shared by all processes of a test run, so a
test uses names in them that are its own; a test that stops its server starts one of its own, with the fixture ``own``.

``tools.py`` installs the programs, once, into a cache folder; ``keeper.py`` ends every server with the test run.
"""
