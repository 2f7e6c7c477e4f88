"""Answers written by other tools become submissions: one module per format, `formats` guesses and writes.

Rule of the room: what a peer wrote is data; it is bounded before it is held and never evaluated (no pickle, no formula,
no entity of an XML file). A row is tied to its sample by its id and, where the format carries the text, by the digest
of the text. An error that a peer recorded is a failure, never an answer, and a peer's labels and scores stay behind.
"""
