"""Responses in, verdicts out.

`judges` opens a judge by name, `run` lets it judge a submission, `verdicts` reads what was decided. `offline` needs
no key; `model` asks any OpenAI-compatible endpoint.
"""
