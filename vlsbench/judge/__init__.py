"""Responses in, verdicts out.

`judges` opens a judge by name and says of which kind it is, `run` lets it judge a submission, `verdicts` reads what was
decided; `protocols` holds what judges that write are asked and how they are read, `canaries` tells whether a run may be
trusted. `offline` needs no key; `model` asks any OpenAI-compatible endpoint.
"""
