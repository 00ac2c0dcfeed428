"""Votes of other tools: a small file a tool, each written against files that the tool itself wrote."""

from analysis.votes.foreign.arena import ARENA
from analysis.votes.foreign.evalica import EVALICA
from analysis.votes.foreign.gradio import GRADIO
from analysis.votes.foreign.jspsych import JSPSYCH
from analysis.votes.foreign.label_studio import LABEL_STUDIO
from analysis.votes.foreign.otree import OTREE
from analysis.votes.foreign.potato import POTATO
from analysis.votes.foreign.preferences import PREFERENCES
from analysis.votes.foreign.psychopy import PSYCHOPY
from analysis.votes.foreign.table import TABLE
from analysis.votes.foreign.tool import Tool

__all__ = ["TOOLS"]

TOOLS: dict[str, Tool] = {
    tool.name: tool
    for tool in (ARENA, EVALICA, GRADIO, JSPSYCH, LABEL_STUDIO, OTREE, POTATO, PREFERENCES, PSYCHOPY, TABLE)
}
