"""Log to MLflow."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from packaging.version import Version

from cfgtrain.errors import MissingLibraryError
from cfgtrain.parallel.wrappers import unwrap_model
from cfgtrain.registries import HOOKS
from cfgtrain.runner.hooks.loggers.tracker import TrackerHook, Values, config_params, extra, is_complete
from cfgtrain.runner.protocol import RunnerView

__all__ = ["MlflowLoggerHook"]

AT_ONCE = 100  # the most parameters that a server takes at once
_NOT_ALLOWED = re.compile(r"[^\w\-. :/]", re.ASCII)


@HOOKS.register_module()
class MlflowLoggerHook(TrackerHook):
    """Logs to a run of MLflow 3: numbers as metrics, the config as parameters.

    The run is in the database ``<work_dir>/mlflow.db`` unless ``tracking_uri``, the environment variable
    ``MLFLOW_TRACKING_URI`` or ``mlflow.set_tracking_uri`` name another place. If a run of MLflow is active
    before the training, that one is used.

    Args:
        exp_name: Name of MLflow's experiment, which is created if needed. By default it is MLflow's default
            one or, in the database of the work directory, the name of the config.
        tags: Tags of the run.
        params: Parameters of the run, besides the settings of the config.
        log_model: Whether the model is logged at the end of a complete run: with its best weights if these were
            tested, else the last ones.
        interval: Iterations between two training logs, each an average over them.
        ignore_last: Whether a shorter interval at the end of an epoch is not logged.
        reset_flag: Whether this hook clears the output after logging; the last logger always does.
        by_epoch: Whether intervals are counted within the epoch, or over the run.
        tracking_uri: Where MLflow stores runs.

    Attributes:
        mlflow: The package, during the run.
    """

    packages = ("mlflow",)
    install = extra("mlflow")

    def __init__(
        self,
        exp_name: str | None = None,
        tags: Mapping[str, Any] | None = None,
        params: Mapping[str, Any] | None = None,
        log_model: bool = True,
        interval: int = 10,
        ignore_last: bool = True,
        reset_flag: bool = False,
        by_epoch: bool = True,
        *,
        tracking_uri: str | None = None,
    ) -> None:
        super().__init__(interval, ignore_last, reset_flag, by_epoch)
        self.exp_name = exp_name
        self.tags = tags
        self.params = params
        self.log_model = log_model
        self.tracking_uri = tracking_uri
        self.mlflow: Any = None
        self._owns_run = False
        self._owns_uri = False
        self._start_iter = 0

    def start(self, runner: RunnerView, run_id: str | None) -> str:
        """Begin or continue a run with its parameters and tags."""
        self.mlflow = mlflow = importlib.import_module("mlflow")
        if Version(mlflow.__version__) < Version("3"):
            raise MissingLibraryError(
                f"MlflowLoggerHook needs MLflow 3 or newer, not {mlflow.__version__}.", hint=self.install
            )
        self._start_iter = runner.iter
        run = mlflow.active_run()
        self._owns_run = run is None
        if run is None:
            self._select_experiment(runner)
            name = (runner.meta or {}).get("exp_name")
            run = mlflow.start_run(run_id=run_id, run_name=None if run_id else name)
        self._log_params({**config_params(runner), **(self.params or {})}, run.data.params)
        if self.tags is not None:
            mlflow.set_tags(dict(self.tags))
        return str(run.info.run_id)

    def send(self, values: Values) -> None:
        """Log the numbers at a step."""
        self.mlflow.log_metrics({_name(tag): value for tag, value in values.tags.items()}, step=values.step)

    def finish(self, runner: RunnerView, summary: dict[str, float]) -> None:
        """Log the summary and the model, and end the run."""
        mlflow, complete = self.mlflow, is_complete(runner)
        try:
            if summary:
                mlflow.log_metrics({_name(tag): score for tag, score in summary.items()}, step=runner.iter)
            if self.log_model and complete and runner.iter > self._start_iter:
                self._log_model(unwrap_model(runner.model))
        finally:
            if self._owns_run:
                mlflow.end_run("FINISHED" if complete else "KILLED")
            if self._owns_uri:
                mlflow.set_tracking_uri(None)

    def _select_experiment(self, runner: RunnerView) -> None:
        mlflow, name = self.mlflow, self.exp_name
        if self.tracking_uri is not None:
            mlflow.set_tracking_uri(self.tracking_uri)
            self._owns_uri = True
        elif not mlflow.tracking.is_tracking_uri_set() and runner.work_dir is not None:
            mlflow.set_tracking_uri(f"sqlite:///{runner.work_dir}/mlflow.db")
            self._owns_uri = True
            name = name or (runner.meta or {}).get("exp_name") or Path(runner.work_dir).name
            if mlflow.get_experiment_by_name(name) is None:
                folder = Path(runner.work_dir, "mlartifacts")  # by default it is in the current folder
                mlflow.create_experiment(name, artifact_location=folder.as_uri())
        if name is not None:
            mlflow.set_experiment(name)

    def _log_params(self, params: Mapping[str, Any], known: Mapping[str, str]) -> None:
        """Log parameters; one that a continued run has with another value becomes a tag, as MLflow keeps the first."""
        named = {_name(key)[:250]: value for key, value in params.items()}
        new = [(key, value) for key, value in named.items() if key not in known]
        for at in range(0, len(new), AT_ONCE):
            self.mlflow.log_params(dict(new[at : at + AT_ONCE]))
        changed = {
            key: v for key, v in named.items() if key in known and not known[key].startswith(str(v)[:500])
        }
        if changed:
            self.mlflow.set_tags(changed)

    def _log_model(self, model: Any) -> None:
        flavor = importlib.import_module("mlflow.pytorch")
        # Newer versions export a graph by default, for which an example of the input is needed.
        options = {"serialization_format": "pickle"}
        accepted = inspect.signature(flavor.log_model).parameters
        flavor.log_model(
            model,
            name="models",
            pip_requirements=[f"torch=={torch.__version__}"],
            **{key: value for key, value in options.items() if key in accepted},
        )


def _name(tag: str) -> str:
    """Return a name that MLflow accepts."""
    return _NOT_ALLOWED.sub("_", tag)
