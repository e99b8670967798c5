r"""A real browser for the tests, without root: headless Chromium, driven by Playwright, with axe as a judge.

All three are packages for Node.js, installed once into the cache of ``servers.tools``. The page is asked through a
process of its own, because Playwright's loop would get in the way of the tests' own. How the lock is refreshed::

    cd tests/servers/locks/browser
    npm install --package-lock-only --omit-lockfile-registry-resolved @sparticuz/chromium@latest axe-core@latest \
        playwright-core@latest
"""
