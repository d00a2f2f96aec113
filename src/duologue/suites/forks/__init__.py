"""Recorded runs that are continued from one of their turns, to find out where they went wrong and what it takes."""
