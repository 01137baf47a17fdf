"""One seed drives clock, store, task outcomes, messages and crashes.

Everything between the client and the store port is the engine's own code.
"""
