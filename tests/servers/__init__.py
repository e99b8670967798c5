"""Private real servers for the tests, without root: Redis, PostgreSQL, five S3 servers, Azurite and others.

A test requests a fixture of ``fixtures.py``. All processes of a test run share the servers, so a test uses names in
them that no other test uses. A test that stops a server starts a separate one with the fixture ``own``.

``tools.py`` installs the programs once, into a cache folder. ``keeper.py`` ends every server with the test run.
"""
