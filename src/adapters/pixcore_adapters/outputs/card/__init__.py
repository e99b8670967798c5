"""What lies beside a dataset's archives for whoever finds it there: its card, and the same for machines (Croissant)."""
