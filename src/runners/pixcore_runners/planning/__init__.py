"""From what a user asks for to the chunks that are still missing."""
