"""Normalization inside of a recurrent cell."""
