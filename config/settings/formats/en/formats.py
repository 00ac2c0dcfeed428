"""Dates in the admin's lists as on the pages of a study: short, and the same in every country."""

DATETIME_FORMAT = "j M Y, H:i"
DATE_FORMAT = "j M Y"
