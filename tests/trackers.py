"""Fixtures and readers for the tests with real experiment trackers, which never reach a network."""

from __future__ import annotations

import shutil
from collections import defaultdict
from pathlib import Path
from typing import Any

OFFLINE = {
    "WANDB_MODE": "offline",
    "WANDB_SILENT": "true",
    "WANDB_ERROR_REPORTING": "false",
    "WANDB_CONSOLE": "off",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "DVC_NO_ANALYTICS": "1",
    "GIT_PYTHON_REFRESH": "quiet",
}

Curve = list[tuple[int, float]]


def read_tensorboard(folder: Path) -> dict[str, Curve]:
    """Return the curves of all event files in a folder, with TensorBoard's reader."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder), {"scalars": 0})
    events.Reload()
    tags = [tag for tag in events.Tags()["scalars"] if not tag.startswith("summary/")]
    # Files of the same second are not read in order.
    in_order = {tag: sorted(events.Scalars(tag), key=lambda event: event.wall_time) for tag in tags}
    return {tag: [(event.step, event.value) for event in each] for tag, each in in_order.items()}


def read_mlflow(database: Path) -> tuple[dict[str, Curve], Any]:
    """Return the curves of the only run in a database, and the run, with MLflow's client."""
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{database}")
    (run,) = client.search_runs([each.experiment_id for each in client.search_experiments()])
    curves = {
        tag: [(metric.step, metric.value) for metric in client.get_metric_history(run.info.run_id, tag)]
        for tag in run.data.metrics
        if tag != "best_score" and not tag.startswith("test/")
    }
    return curves, run


def wandb_curves(starts: list[Any]) -> dict[str, Curve]:
    """Return the curves in the files that all starts of a run of W&B have written."""
    curves = defaultdict(list)
    for start in starts:
        for row in start.rows:
            for tag, value in row.items():
                if not tag.startswith("_"):
                    curves[tag].append((row["_step"], value))
    return dict(curves)


def empty_mlflow_database(folder: Path) -> Path:
    """Return an empty database of MLflow. Creating its tables takes seconds, so tests copy it."""
    from mlflow import MlflowClient

    file = folder / "mlflow.db"
    MlflowClient(f"sqlite:///{file}").search_experiments()
    return file


def copy_to(work_dir: Path, database: Path) -> None:
    """Copy an empty database to where the run of a test expects its own."""
    work_dir.mkdir(parents=True, exist_ok=True)
    shutil.copy(database, work_dir / "mlflow.db")
