"""What takes minutes: `pytest -m long -s tests/endurance`. Each prints its figures.

How long each runs is an environment variable, named beside its default in the test.
"""
