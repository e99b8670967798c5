"""Find images that show the same picture: hashes of small grey pictures propose pairs, the files confirm them."""
