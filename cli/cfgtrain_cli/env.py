"""``cfgtrain env``: what a bug report needs."""

from __future__ import annotations

import json
from typing import Annotated

import typer


def env(
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON, with the details of the build.")
    ] = False,
) -> None:
    """Print versions, devices and settings on one screen, to paste into a bug report."""
    from cfgtrain.environment import collect_env, describe_environment  # loads torch
    from cfgtrain_cli.columns import print_columns

    facts = describe_environment()
    if as_json:
        print(json.dumps({**facts, "details": collect_env()}, indent=2, ensure_ascii=False))
        return
    libraries = ", ".join(f"{name} {version}" for name, version in facts.pop("libraries").items())
    rows = [
        (subject if i == 0 else "", name, value)
        for subject, group in facts.items()
        for i, (name, value) in enumerate(group.items())
    ]
    rows.append(("libraries", "", libraries))
    print_columns(rows, ("bold", "dim", ""), wrap=True)
