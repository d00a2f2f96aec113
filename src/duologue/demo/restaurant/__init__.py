"""A small restaurant's booking assistant: an ordinary agent behind a URL, and the one that ``duologue demo`` rehearses.

It knows nothing of Duologue: it imports only the standard library, so this folder runs wherever it is copied to. It has
rules in place of a language model, so it needs no key and answers the same way every time. Run it with
``python -m duologue.demo.restaurant``; README.md says what it speaks.
"""
