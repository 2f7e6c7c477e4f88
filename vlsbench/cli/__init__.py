"""The command line: one file a room; the only room that knows all of them."""

import os

# In every process pydantic would look for its plugins in all that is installed; we use none.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
