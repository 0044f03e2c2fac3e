from __future__ import annotations

from pathlib import Path

import pytest

from cfgtrain.filesystem.names import as_template, safe_file_name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("acc", "acc"),
        ("AR@100 (top-1) 50%", "AR@100 (top-1) 50%"),
        ("val/acc", "val_acc"),
        ("../../up", ".._.._up"),
        ("a\\b:c*d?", "a_b_c_d_"),
        ("{x}", "_x_"),
        ("a\0b\n", "a_b_"),
        ("Genauigkeit ä", "Genauigkeit ä"),
    ],
)
def test_any_text_makes_a_file_name(text: str, name: str) -> None:
    """Only what is not valid in a file name is replaced."""
    assert safe_file_name(text) == name


@pytest.mark.parametrize("text", ["n" * 1000, "ä" * 1000, "\ud800" * 1000])
def test_long_text_is_cut(text: str, tmp_path: Path) -> None:
    """A long text makes a name that a file can have."""
    (tmp_path / f"best_{safe_file_name(text)}_epoch_1.pth").touch()
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("name", ["epoch_1.pth", "{}", "{0.x}}{", "{{a}}"])
def test_template_of_a_name_makes_that_name(name: str) -> None:
    """Braces in a name are not fields of its template."""
    assert as_template(name).format(7) == name
