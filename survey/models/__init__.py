from survey.models.access import ApiToken, Webhook, WebhookDelivery
from survey.models.ledger import AuditEntry, DeletedStudy, Exclusion
from survey.models.pair import ImagePair, PairImage, ReferenceImage, ServedCopies
from survey.models.rater import Rater, RaterIdentity, RaterSession
from survey.models.recruitment import Erasure, PanelSubmission, PersonalLink
from survey.models.report import ImageMetric, ReportBuild, StudyFigure, VoteTally
from survey.models.study import Arm, Study, StudyMember, StudyVersion
from survey.models.trial import FaultReport, SessionEvent, Slot, Trial, Vote

__all__ = [
    "ApiToken",
    "Arm",
    "AuditEntry",
    "DeletedStudy",
    "Erasure",
    "Exclusion",
    "FaultReport",
    "ImageMetric",
    "ImagePair",
    "PairImage",
    "PanelSubmission",
    "PersonalLink",
    "Rater",
    "RaterIdentity",
    "RaterSession",
    "ReferenceImage",
    "ReportBuild",
    "ServedCopies",
    "SessionEvent",
    "Slot",
    "Study",
    "StudyFigure",
    "StudyMember",
    "StudyVersion",
    "Trial",
    "Vote",
    "VoteTally",
    "Webhook",
    "WebhookDelivery",
]
