"""What Inspect finds of this package by its entry point."""
