"""Which adapters there are: the tables of built-in ones, and the entry points of other distributions."""
