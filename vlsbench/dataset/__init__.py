"""The samples: index, loading script, build and verify."""
