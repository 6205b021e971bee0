"""Facts about the machine and its files. Imports nothing else of this package."""
