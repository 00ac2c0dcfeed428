"""Errors of the survey's rules. The class docstring is the default message and names the remedy."""

from __future__ import annotations


class SurveyError(Exception):
    """The study does not allow this."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message or " ".join((type(self).__doc__ or "").split()))


class StudyUnknown(SurveyError):
    """There is no such study. Check the address or the slug; `manage.py` lists the slugs it knows."""


class IllegalTransition(SurveyError):
    """The study's state does not allow this step. Reload the page to see its present state."""


class StudyNotEditable(SurveyError):
    """Only a draft can be changed. Revise the study first: the change becomes a new version."""


class StudyNotReady(SurveyError):
    """The study cannot be frozen yet. Fix the listed problems, then freeze again."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("The study cannot be frozen: " + "; ".join(problems))


class PairConflict(SurveyError):
    """A pair with this key exists with other images. Give the new pair another key or start a new study."""


class PairUnknown(SurveyError):
    """The study has no pair with this key. Reload the page to see its pairs."""


class StudyNotDeletable(SurveyError):
    """Only a draft that nobody has visited can be deleted. Close and archive the study instead: its data stay."""


class BadImage(SurveyError):
    """The file is not an image that can be shown. Convert it to PNG or JPEG in RGB and import it again."""


class CopiesUnstored(SurveyError):
    """The disk is full: nothing was frozen. Free some space, then freeze again; the copies made so far are kept."""


class StudyNotOpen(SurveyError):
    """No study is open at this address. Check the link that you were given, or come back later."""


class LastOwner(SurveyError):
    """A study needs an owner. Make another person owner first."""


class TokenInvalid(SurveyError):
    """This address is not valid. Open the link of the study again."""


class TokenExpired(SurveyError):
    """This address has expired. Reload the page to get a fresh one."""


class SessionUnknown(SurveyError):
    """This visit is not known here. Open the link of the study again."""


class SessionNotActive(SurveyError):
    """This visit takes no votes at its present step. Reload the page to see where you are."""


class OtherTab(SurveyError):
    """The study is open in a newer tab or on another device. Continue there, or take it over here."""


class TrialUnknown(SurveyError):
    """This trial was not issued to this visit. Reload the page to get the present one."""


class VoteConflict(SurveyError):
    """This trial has another answer already. Reload the page to get the present one."""


class NothingToUndo(SurveyError):
    """Only the last vote can be taken back, and only once."""


class BadSubmission(SurveyError):
    """The answer was incomplete or had a wrong value. Reload the page and answer again."""


class AnswersMismatch(BadSubmission):
    """The answers are not those to the questions of this trial. Send one for each of its criteria."""


class ExitAnswersRefused(BadSubmission):
    """Some answers do not fit their questions. Correct what is marked, then send them again."""

    def __init__(self, problems: dict[str, str]) -> None:
        self.problems = problems
        super().__init__("; ".join(problems.values()))


class ConsentOutdated(SurveyError):
    """The consent text has changed since the page was opened. Reload the page and read it again."""


class ImportRefused(SurveyError):
    """The images cannot be imported as they are. Fix the listed files, or leave them out, and import again."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("Nothing was imported: " + "; ".join(problems[:5]) + ("; ..." if len(problems) > 5 else ""))


class BadArchive(SurveyError):
    """The archive cannot be read safely. Zip the arms' folders again with plain relative names and no links."""


class ResultsHidden(SurveyError):
    """Results stay hidden until the study is closed: its frozen plan allows one look. Close the study first."""


class ReleaseRefused(SurveyError):
    """The release cannot be published as it is. Fix what is listed, then export again."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("Nothing was released: " + "; ".join(problems))


class ExclusionRefused(SurveyError):
    """This exclusion is not possible. Reload the page to see which are in force."""


class EntryRefused(SurveyError):
    """This link does not open the study. Open the study again from where you found it."""


class PanelIdRefused(EntryRefused):
    """The link does not say who you are. Nothing is wrong on your side: please show this page to the researchers."""

    def __init__(self, name: str, value: str, remedy: str) -> None:
        self.name, self.value, self.remedy = name, value, remedy
        super().__init__()


class AlreadyTaken(SurveyError):
    """You have already taken part in this study, and each person can take part once. Thank you."""


class NothingToErase(SurveyError):
    """Nobody is known by this id in this study. Check the id: the panel's own, or a personal link's number."""


class BadPanelExport(SurveyError):
    """The file is not an export of the panel's submissions. Download it again as CSV or JSON."""


class WebhookRefused(SurveyError):
    """This address cannot be notified. Give a public https address."""
