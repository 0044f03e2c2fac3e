"""``cfgtrain env``: the versions and devices that a bug report needs."""

from __future__ import annotations

from typing import Annotated

import typer

from cfgtrain_cli.console import print_json


def env(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, including build details.")] = False,
) -> None:
    """Print versions, devices and settings for a bug report."""
    from cfgtrain.environment import collect_env, describe_environment  # imports torch
    from cfgtrain_cli.columns import print_columns

    facts = describe_environment()
    if as_json:
        print_json({**facts, "details": collect_env()})
        return
    libraries = ", ".join(f"{name} {version}" for name, version in facts.pop("libraries").items())
    rows = [
        (subject if i == 0 else "", name, value)
        for subject, group in facts.items()
        for i, (name, value) in enumerate(group.items())
    ]
    rows.append(("libraries", "", libraries))
    print_columns(rows, ("bold", "dim", ""), wrap=True)
