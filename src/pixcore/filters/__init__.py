"""What a dataset keeps of its valid images: one module for each rule."""
