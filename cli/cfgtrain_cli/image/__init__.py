"""``cfgtrain image``: resize or flip image files."""
