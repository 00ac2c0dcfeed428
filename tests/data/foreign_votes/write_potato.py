"""Run by make_samples.sh: what Potato's own state writes; one of two annotators saw a pair the other way round."""

import sys

from potato.item_state_management import Label
from potato.phase import UserPhase
from potato.user_state_management import InMemoryUserState

for user, answers in {"ann": ["A", "B", "tie", "A"], "bob": ["B", "B", ""]}.items():
    state = InMemoryUserState(user)
    state.current_phase_and_page = (UserPhase.ANNOTATION, None)
    for place, answer in enumerate(answers):
        item = f"item_{place}"
        state.instance_id_ordering.append(item)
        state.instance_id_to_label_to_value[item][Label("preference", "selection")] = answer
        if user == "bob" and place == 0:
            state.record_presentation_order(item, {"preference": [1, 0]})
    state.save(f"{sys.argv[1]}/{user}")
