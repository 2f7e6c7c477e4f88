"""Submissions: the gate they pass, the store they lie in, the rows they become."""
