"""The erasure of a person: who they are goes, their anonymous votes and a proof stay."""

from __future__ import annotations

from functools import reduce
from itertools import chain
from operator import or_
from typing import Any

from django.db import transaction
from django.db.models import Q

from survey.exceptions import NothingToErase
from survey.models import (
    Erasure,
    PanelSubmission,
    Rater,
    RaterIdentity,
    RaterSession,
    Study,
    Vote,
)
from survey.recruitment import PROVIDERS
from survey.services.records.audit import audit_record
from survey.services.visit.arrival import identity_keys

__all__ = ["identity_erase"]


@transaction.atomic
def identity_erase(*, study: Study, panel_id: str, actor: Any) -> Erasure:
    """Erase who a person is, and keep the anonymous votes and a proof. A personal link is named by its number.

    Gone are the panel's ids, the keyed hash that would know the person again, the answers to exit questions, and what
    the browser reported. Votes stay under a pseudonym that leads nowhere.

    Raises
    ------
    NothingToErase
        If nobody is known by this id in this study, or no longer.
    """
    # Of all providers: an earlier version of the study may have had another one.
    known_as = {
        provider: identity_keys(study, provider, kind.person_of(study, panel_id.strip()))
        for provider, kind in PROVIDERS.items()
    }
    either = reduce(or_, (Q(provider=name, provider_key__in=keys) for name, keys in known_as.items()))
    # A second request for the same person waits, and then finds nobody: there is one proof.
    rater = Rater.objects.select_for_update().filter(either).first()
    if rater is None:
        digests = list(chain.from_iterable(known_as.values()))
        if proof := Erasure.objects.filter(study=study, identity_digest__in=digests).order_by("erased_at").last():
            raise NothingToErase(f"This person was erased on {proof.erased_at:%Y-%m-%d}: {proof.identity_digest}")
        raise NothingToErase
    sessions = RaterSession.objects.filter(rater=rater, version__study=study)
    PanelSubmission.objects.filter(study=study, session__in=sessions).delete()
    RaterIdentity.objects.filter(rater=rater).delete()
    sessions.update(answers={}, device={})
    # Without the key nobody can be known again, and their votes stand for nobody.
    Rater.objects.filter(pk=rater.pk).update(provider_key=None)
    proof = Erasure.objects.create(
        study=study,
        identity_digest=known_as[rater.provider][0],
        votes_kept=Vote.objects.filter(trial__session__in=sessions, is_current=True).count(),
        erased_by=actor if getattr(actor, "pk", None) else None,
    )
    detail = {"identity_digest": proof.identity_digest, "votes_kept": proof.votes_kept}
    audit_record(study=study, actor=actor, action="erase identity", detail=detail)
    return proof
