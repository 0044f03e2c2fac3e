"""``cfgtrain list`` and ``cfgtrain show``: what a ``type=`` may be."""
