"""Process one chunk: from the claim to the recorded result."""
