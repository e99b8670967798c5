"""Safe fetching over the web, for every web source. ``policy`` is light to import; ``fetcher`` imports libcurl."""
