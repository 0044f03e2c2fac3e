"""``cfgtrain image``: resize and flip pictures, one or thousands."""
