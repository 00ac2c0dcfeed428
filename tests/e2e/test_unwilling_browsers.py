"""Translations, extensions, storage and older browsers that do as they please: votes come all the same."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from playwright.sync_api import Error, expect

from survey.models import SessionEvent
from tests.e2e.rater import READY, Rater, eventually
from tests.e2e.test_trouble import VOTES
from tests.programs import missing, program

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

# What translating browsers do to every text, again and again.
TRANSLATES = """(() => {
  const wrap = (node) => {
    if (node.nodeType === 1) return [...node.childNodes].forEach(wrap);
    if (node.nodeType !== 3 || !node.data.trim() || /SCRIPT|STYLE|FONT/.test(node.parentNode.nodeName)) return;
    const outer = document.createElement('font'), inner = document.createElement('font');
    inner.textContent = `[${node.data}]`;
    outer.append(inner);
    node.replaceWith(outer);
  };
  addEventListener('DOMContentLoaded', () => {
    document.documentElement.className = 'translated-ltr';
    wrap(document.body);
    setInterval(wrap, 100, document.body);
  });
})()"""
# What extensions put before, behind and into everything, and around images; again wherever it was taken away.
INTRUDES = """(() => {
  const own = (one) => one?.nodeName === 'I';
  const add = () => ({ __proto__: null }, Object.assign(document.createElement('i'), { className: 'intruder' }));
  const intrude = () => {
    for (const one of document.body.querySelectorAll('*:not(i):not(script):not(dialog *)')) {
      if (!own(one.previousSibling)) one.before(add());
      if (!own(one.nextSibling)) one.after(add());
      if (/^(CANVAS|IMG|INPUT|PROGRESS|BR)$/.test(one.nodeName)) continue;
      if (!own(one.firstChild)) one.prepend(add());
      if (!own(one.lastChild)) one.append(add());
    }
    for (const image of document.images) {
      if (image.parentNode.nodeName === 'SPAN') continue;
      const span = document.createElement('span');
      image.replaceWith(span);
      span.append(image);
    }
  };
  addEventListener('DOMContentLoaded', () => (intrude(), setInterval(intrude, 100)));
})()"""
NEVER = "() => new Promise(() => {})"
THROWS = "() => { throw new DOMException('no', 'QuotaExceededError') }"


def votes_and_undoes(one: Rater) -> None:
    """Vote, take back, vote again, by key and by click; every answer arrives."""
    one.vote("ArrowLeft")
    one.vote("ArrowRight")
    one.pass_cards()
    one.page.click("#undo")
    one.pass_cards()
    one.page.click("#choose-left")
    one.vote("ArrowDown")
    one.expect_saved()
    assert [vote.choice for vote in one.votes() if vote.is_current] == ["left", "left", "tie"]


@pytest.mark.parametrize("script", [TRANSLATES, INTRUDES, TRANSLATES + ";" + INTRUDES], ids=["font", "i", "both"])
def test_elements_that_others_put_anywhere_stop_nothing(rater, script: str) -> None:
    one = rater()
    one.context.add_init_script(script)
    one.start()
    one.pass_cards()
    one.page.wait_for_selector("font" if script is TRANSLATES else ".intruder", state="attached")
    for side in ("left", "right"):
        canvas, box = one.place(f"#{side} canvas"), one.place(f"#{side}")
        assert canvas == box
    one.page.click("#help-open")
    expect(one.page.locator("#explain-letters")).to_contain_text("F Left")
    one.page.click("#help-close")
    votes_and_undoes(one)
    one.finish_trials()
    assert len(one.voted_once_each()) == 8


def test_a_translated_page_is_noted(rater) -> None:
    one = rater()
    one.start()
    one.pass_cards()
    one.page.evaluate("document.documentElement.lang = 'fr'")
    votes_and_undoes(one)
    assert eventually(lambda: SessionEvent.objects.filter(kind="translated").count() == 1)


STORAGES = {
    "a database that never opens": "IDBFactory.prototype.open = () => ({})",
    "a database that never answers": "for (const name of ['get', 'getAll', 'getAllKeys', 'add', 'put', 'delete'])"
    " IDBObjectStore.prototype[name] = () => ({})",
    "a full storage": f"Storage.prototype.setItem = {THROWS}",
    "no storage": "for (const name of ['localStorage', 'sessionStorage', 'indexedDB'])"
    f" Object.defineProperty(window, name, {{ get: {THROWS} }})",
}


@pytest.mark.parametrize("script", STORAGES.values(), ids=STORAGES)
def test_answers_arrive_whatever_becomes_of_the_browsers_storage(rater, script: str) -> None:
    one = rater()
    one.context.add_init_script(script)
    one.start()
    votes_and_undoes(one)


def test_unsent_answers_outlive_a_reload_where_the_database_never_answers(rater) -> None:
    one = rater()
    one.context.add_init_script(STORAGES["a database that never opens"])
    one.page.route(VOTES, lambda route: route.abort())
    one.start()
    one.vote("ArrowRight")
    one.vote("ArrowLeft")
    expect(one.page.locator("#state")).to_have_attribute("data-state", "offline")
    one.page.unroute(VOTES)
    one.page.reload()
    one.expect_saved()
    assert [vote.choice for vote in one.votes()] == ["right", "left"]


# Calls that came late, or that hardened browsers take away: the pages do without.
DISPENSABLE = """
    delete AbortSignal.timeout, delete window.AbortController, delete HTMLImageElement.prototype.decode;
    delete Element.prototype.replaceChildren, delete Crypto.prototype.randomUUID, delete window.BroadcastChannel;
    delete HTMLDialogElement.prototype.showModal, delete HTMLDialogElement.prototype.close;
    delete Navigator.prototype.sendBeacon, delete window.structuredClone, delete Array.prototype.at;
"""


@pytest.mark.parametrize("script", [DISPENSABLE, f"HTMLImageElement.prototype.decode = {NEVER}"], ids=["gone", "mute"])
def test_a_browser_without_newer_calls_works(rater, script: str) -> None:
    one = rater()
    one.context.add_init_script(script)
    one.start()
    votes_and_undoes(one)
    one.page.click("#help-open")
    expect(one.page.locator("#help")).to_be_visible()
    one.page.click("#help-close")
    expect(one.page.locator("#help")).to_be_hidden()
    one.vote()
    one.expect_saved()


LIST = "import('./tests/js/floor/newer.js').then((all) => console.log(JSON.stringify(all.newerCalls())))"
AGES = """for (const [home, name, isStatic] of CALLS) {
  const owners = isStatic ? [window[home]] : name ? [window[home]?.prototype, window[home]] : [window];
  for (const owner of home === 'Window' ? [window] : owners) try { delete owner?.[name || home] } catch {}
}"""


def is_ready(one: Rater) -> bool:
    try:
        return one.page.evaluate(READY)
    except Error:  # the page is being left
        return False


def test_the_oldest_browser_named_works(rater) -> None:
    node = program("node", remedy="install it with `apt-get install nodejs npm`")
    if not Path("node_modules/@mdn").is_dir():
        missing("table of what browsers can do", remedy="`make lint-scripts` installs it, by npm")
    calls = json.loads(subprocess.run([node, "--eval", LIST], capture_output=True, text=True, check=True).stdout)
    assert ["AbortSignal", "timeout", True] in calls
    assert len(calls) > 1000
    one = rater()
    one.context.add_init_script(AGES.replace("CALLS", json.dumps(calls)))
    one.ready = lambda: eventually(lambda: is_ready(one))  # Playwright's own waiting needs newer calls
    one.start()
    assert not one.page.evaluate("'timeout' in AbortSignal || 'findLast' in [] || 'randomUUID' in crypto")
    for key in ("ArrowLeft", "u", "ArrowRight"):
        one.ready()
        one.page.keyboard.press(key)
    one.finish_trials()
    assert len(one.voted_once_each()) == 8


@pytest.mark.parametrize("call", ["window.fetch", "Promise.prototype.finally", "HTMLScriptElement.prototype.noModule"])
def test_a_browser_without_what_the_pages_need_is_told_so_before_anything_else(rater, call: str) -> None:
    one = rater()
    one.context.add_init_script(f"delete {call}")
    one.land()
    expect(one.page.get_by_role("heading", name="This browser does not work here")).to_be_visible()
    expect(one.page.get_by_text("Safari 15.4")).to_be_visible()
    expect(one.page.locator("main")).to_be_hidden()


@pytest.mark.parametrize("way", ["breaks", "is lost"])
def test_a_script_that_does_not_run_leaves_no_blank_page(rater, way: str) -> None:
    one = rater()
    breaks = {"body": "export const broken = ?", "content_type": "text/javascript"}
    answer = breaks if way == "breaks" else {"status": 404}
    one.page.route("**/js/presenter.js", lambda route: route.fulfill(**answer))
    one.start_until("form[action$=begin]")
    one.primary()
    expect(one.page.get_by_role("heading", name="This browser does not work here")).to_be_visible()
    one.complaints.clear()
