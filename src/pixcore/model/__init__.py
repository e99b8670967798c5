"""The values that pixcore passes around: frozen, comparable, and without behaviour that needs an adapter."""
