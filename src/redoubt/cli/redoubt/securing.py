"""``redoubt sensor`` and ``redoubt admission``: a cluster's services, until they are told to stop."""

from __future__ import annotations

import os
from pathlib import Path

import click

from redoubt import configuration
from redoubt.cli.entry import HELP, Configured
from redoubt.cli.redoubt.serving import CONFIG, SET, logging, run


@click.command(cls=Configured, context_settings=HELP)
@CONFIG
@SET
def sensor(config: Path | None, set: tuple[str, ...]) -> None:  # noqa: A002  # called as on the command line
    """Run the Sensor of a cluster: it watches what there is, asks policies of it, and tells Central.

    \b
    REDOUBT_SENSOR_CENTRAL=central.example:443 redoubt sensor
    """
    from redoubt.sensor import config as settings
    from redoubt.sensor.service import sensor as serve

    flags = configuration.given(settings.Settings, set)
    given = settings.load(config, flags=flags)
    logging(given.log_level, given.log_format)
    # Kubernetes starts it again.
    run(lambda: serve(given, lambda: os._exit(1)))


@click.command(cls=Configured, context_settings=HELP)
@CONFIG
@SET
def admission(config: Path | None, set: tuple[str, ...]) -> None:  # noqa: A002  # called as on the command line
    """Run an admission controller: the API server asks it before it takes workloads, and lets people into pods.

    \b
    REDOUBT_ADMISSION_SENSOR=sensor.stackrox.svc:443 redoubt admission
    """
    from redoubt.admission import config as settings
    from redoubt.admission.serving import admission as serve

    flags = configuration.given(settings.Settings, set)
    given = settings.load(config, flags=flags)
    logging(given.log_level, given.log_format)
    run(lambda: serve(given))
