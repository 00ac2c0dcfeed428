"""Whatever people bring: generated images, folders, zips and weights, each read as a reference reads it or refused.

Every generated input says of itself what ought to happen to it. `python -m tests.brought` counts the outcomes.
"""
