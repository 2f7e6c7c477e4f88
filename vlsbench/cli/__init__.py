"""The command line: one file a room; the only room that knows all of them."""
