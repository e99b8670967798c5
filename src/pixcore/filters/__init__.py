"""The rules by which a dataset drops valid images: one module for each rule. ``apply`` applies them."""
