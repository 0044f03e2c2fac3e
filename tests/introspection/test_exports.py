"""Names that a package exports."""

from __future__ import annotations

import string

from cfgtrain.introspection.exports import public_names


def test_modules_and_private_names_are_not_exported() -> None:
    """Imported names are exported in their order; modules and names with an underscore are not."""
    namespace = {"__name__": "package", "Public": int, "string": string, "_private": 1, "CONSTANT": 2}
    assert public_names(namespace) == ["Public", "CONSTANT"]
