"""What a GPU worker does. Only worker processes import this module: it loads torch."""

from __future__ import annotations

from typing import Any

from django.conf import settings

import generation.worker.evaluation_job  # noqa: F401  registers generation.evaluate_images
from diffusion.device import chosen_device
from generation.models import GenerationRun, GenerationShard
from generation.sampling.networks import NetworkStore
from generation.services.order import run_enqueue_shards, run_errors_recorded
from generation.worker.order import make_pairs, run_plan, run_settle, store_for
from jobs.lease import Lease
from jobs.registry import handles

__all__ = ["make_shard", "plan"]


@handles("generation.plan")
def plan(lease: Lease, *, run: str, study: str) -> dict[str, Any]:
    """Check an order against its networks and queue its shards."""
    row = GenerationRun.objects.select_related("study").get(pk=run)
    with run_errors_recorded(row, ends=True, fence=lease.fenced):
        run_plan(row, NetworkStore(chosen_device(settings.TORCH_DEVICE)))
    with lease.fenced():
        shards = run_enqueue_shards(row)
    # Nothing is missing, so no shard will come to close the run.
    if not shards:
        run_settle(row)
    return {"shards": shards}


@handles("generation.make_shard")
def make_shard(lease: Lease, *, shard: int) -> dict[str, Any]:
    """Make what is missing of a shard; a shard made before costs one query."""
    row = GenerationShard.objects.select_related("run__study").get(pk=shard)
    lease.progress(0, len(row.positions), force=True)
    with run_errors_recorded(row.run, ends=False, fence=lease.fenced):
        made = make_pairs(
            row.run,
            row.positions,
            store=store_for(row.run),
            fence=lease.fenced,
            progress=lease.progress,
        )
    # Whichever shard ends last closes the run; the others find something missing and leave.
    run_settle(row.run)
    return {"pairs": made}
