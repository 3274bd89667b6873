"""Flower, with what it does not know by itself: all queues, the states of steps, its password."""
