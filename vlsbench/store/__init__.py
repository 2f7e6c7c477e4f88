"""Many submissions over time: where they lie, what happened to each, the queue, the worker, the desk."""
