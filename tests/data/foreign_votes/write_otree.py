"""Run by make_samples.sh in an empty folder: three bots play an oTree app of three rounds; the last one stops early."""

from pathlib import Path

SETTINGS = """
SESSION_CONFIGS = [dict(name='pairs', app_sequence=['pairs'], num_demo_participants=3)]
SESSION_CONFIG_DEFAULTS = dict(real_world_currency_per_point=1, participation_fee=0, doc='')
PARTICIPANT_FIELDS = []
SESSION_FIELDS = []
LANGUAGE_CODE = 'en'
REAL_WORLD_CURRENCY_CODE = 'USD'
USE_POINTS = False
ADMIN_USERNAME = 'admin'
SECRET_KEY = 'sample'
"""
APP = """
from otree.api import *

class C(BaseConstants):
    NAME_IN_URL = 'pairs'
    PLAYERS_PER_GROUP = None
    NUM_ROUNDS = 3

class Subsession(BaseSubsession): pass
class Group(BaseGroup): pass

class Player(BasePlayer):
    pair = models.StringField()
    arm_left = models.StringField()
    arm_right = models.StringField()
    choice = models.StringField(choices=['left', 'right', 'tie'])
    chose_left = models.BooleanField()

def creating_session(subsession):
    for p in subsession.get_players():
        p.pair = f'p{subsession.round_number}'
        arms = ['robust', 'vanilla']
        p.arm_left, p.arm_right = arms if (p.id_in_group + subsession.round_number) % 2 else arms[::-1]

class Vote(Page):
    form_model = 'player'
    form_fields = ['choice', 'chose_left']

page_sequence = [Vote]
"""
BOT = """
from . import *

class PlayerBot(Bot):
    def play_round(self):
        if self.player.id_in_group == 3 and self.round_number == 3:
            return
        choice = ['left', 'right', 'tie'][(self.player.id_in_group + self.round_number) % 3]
        yield Vote, dict(choice=choice, chose_left=choice == 'left')
"""
PAGE = "{{ block content }}{{ formfields }}{{ next_button }}{{ endblock }}"
for folder in ("_static", "_templates", "pairs"):
    Path(folder).mkdir()
Path("settings.py").write_text(SETTINGS)
Path("pairs/__init__.py").write_text(APP)
Path("pairs/tests.py").write_text(BOT)
Path("pairs/Vote.html").write_text(PAGE)
