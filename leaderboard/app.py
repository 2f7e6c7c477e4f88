"""The Space: serve the board of the default store. Run as a script, so it imports nothing beside it."""

from vlsbench.serve import serve_space

if __name__ == "__main__":
    serve_space()
