"""Recover jobs whose worker died or whose message was lost, and do the small work that is due."""

from __future__ import annotations

import time
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import InterfaceError, OperationalError, connection

from jobs.heartbeat import heartbeat_touch
from jobs.housekeeping import housekeeping_due
from jobs.services import jobs_reap


class Command(BaseCommand):
    help = "Announce jobs with an expired lease or a lost message to the broker again, and mark abandoned visits."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--every", type=float, metavar="SECONDS", help="repeat at this interval")

    def handle(self, *, every: float | None, **options: Any) -> None:
        while True:
            try:
                count = jobs_reap()
                housekeeping_due()
                heartbeat_touch()
            except (InterfaceError, OperationalError) as error:
                # The reaper is what repairs after an outage: it must outlive one.
                if every is None:
                    raise
                self.stderr.write(f"the database does not answer: {error}")
                connection.close()
                count = 0
            if count or every is None:
                self.stdout.write(f"{count} jobs announced again")
            if every is None:
                return
            time.sleep(every)
