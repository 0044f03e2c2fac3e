"""``cfgtrain list`` and ``cfgtrain show``: the registries and their entries."""
