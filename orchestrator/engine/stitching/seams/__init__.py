"""Seam work: what may change where two answers meet, so that it can be shown, mapped and undone. Pure."""
