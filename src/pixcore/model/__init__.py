"""The values that travel through pixcore: frozen, comparable, and free of behaviour that needs an adapter."""
