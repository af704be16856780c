"""Whose turn it is: when a person has finished, and when a person interrupts."""
