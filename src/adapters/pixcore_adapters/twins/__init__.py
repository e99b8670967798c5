"""Which images show the same picture: hashes of small greys propose pairs, the pictures themselves confirm them."""
