// The trial page: show a pair when both images are decoded, take one answer, go on at once, save behind the scenes.
import { cssSize, layoutOf, setSize } from "./geometry.js";
import { loadPair } from "./images.js";
import { Keys } from "./keys.js";
import { newKey, Offline, pause, post, Refused } from "./net.js";
import { Outbox } from "./outbox.js";
import { Watch } from "./watch.js";
import { Zoom } from "./zoom.js";

const $ = (id) => document.getElementById(id);
const setup = JSON.parse($("setup").textContent);
const { texts, urls, room } = setup;
const BACKLOG = 3;
const GLYPHS = { ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", Space: "␣" };
const CARDS = ["trial", "loading", "pause", "ready", "elsewhere", "narrow", "waiting", "sending"];
const boxes = [$("left"), $("right")];
const buttons = [...document.querySelectorAll("[data-choice]")];
const tab = newKey();

const known = new Map(); // trials that the server has issued, by id
const answered = new Set(); // of them, those answered here, confirmed or not
const breaks = new Set(); // numbers before which a break was shown
let server = { done: 0, total: 0, isEmpty: false };
let current = null; // {trial, paintedAt, hiddenMs, hurried}
let phase = "loading";
let last = null; // the trial that undo takes back
let notice = ""; // what the next pair is shown with
let stale = 0; // how often fresh addresses were asked for the present pair
let startedAt = performance.now();
let answeredHere = 0;
let run = 0;

const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name]);
const say = (text) => ($("announce").textContent = text);

function show(card) {
  for (const name of CARDS) $(name).hidden = name !== card;
}

// --- saving ---------------------------------------------------------------------------------------------------------

const watch = new Watch(urls.events);
const outbox = new Outbox(
  urls.vote,
  ({ kind, body }) => post(kind === "undo" ? urls.undo : urls.vote, { ...body, tab }),
  {
    state(name) {
      const state = $("state");
      if (state.dataset.state === name) return;
      state.dataset.state = name;
      state.textContent = texts[name];
      if (phase === "feedback") $("notice").textContent = name === "offline" ? texts.waiting : "";
    },
    sent({ kind, body }, answer) {
      take(answer);
      if (phase === "feedback" && kind === "vote" && body.trial === current?.trial.id) feedback(answer, body.choice);
      if (phase === "waiting") next();
      watch.send();
    },
    refused({ kind, body }, error) {
      if (error.code === "other_tab") return elsewhere();
      if (error.code === "session_not_active") return location.reload();
      if (kind === "undo") say(texts.nothingToUndo);
      answered.delete(body.trial);
      refresh();
    },
  },
);

function take(answer) {
  server = { done: answer.done, total: answer.total, isEmpty: answer.trials.length === 0 };
  for (const trial of answer.trials) {
    if (known.has(trial.id) || answered.has(trial.id)) continue;
    known.set(trial.id, trial);
    trial.pair = loadPair(trial);
  }
  progress();
}

// Become the tab that votes, and learn afresh what is to be shown.
async function refresh() {
  for (let wait = 1000; ; wait = Math.min(2 * wait, 15000)) {
    try {
      const answer = await post(urls.window, { tab });
      known.clear();
      take(answer);
      channel?.postMessage(tab);
      return next();
    } catch (error) {
      if (error instanceof Refused) return location.reload();
      if (!(error instanceof Offline)) throw error;
      outbox.on.state("offline");
      await pause(wait);
    }
  }
}

function elsewhere() {
  phase = "elsewhere";
  show("elsewhere");
}

let channel = null;
try {
  channel = new BroadcastChannel(urls.window);
  channel.onmessage = ({ data }) => data !== tab && elsewhere();
} catch {} // without it, the older tab learns of it with its next answer

// --- showing --------------------------------------------------------------------------------------------------------

function upcoming() {
  return [...known.values()]
    .filter((trial) => !answered.has(trial.id))
    .sort((one, other) => other.practice - one.practice || one.number - other.number);
}

function next() {
  if (phase === "elsewhere") return;
  const [trial] = upcoming();
  if (outbox.items.length > BACKLOG || !trial) {
    phase = "waiting";
    current = null;
    if (!trial && server.isEmpty && !outbox.items.length) return finish();
    if (!trial && !outbox.items.length) return refresh();
    return show(server.done + pendingAnswers() >= server.total ? "sending" : "waiting");
  }
  if (!trial.practice && trial.number === 1 && setup.practice && !breaks.has(1)) return rest(1, "ready");
  const left = server.total - server.done;
  const isBreak = !trial.practice && trial.number > 1 && (trial.number - 1) % setup.breakEvery === 0 && left > setup.breakEvery / 4;
  if (isBreak && answeredHere && !breaks.has(trial.number)) return rest(trial.number, "pause");
  present(trial);
}

function rest(number, card) {
  breaks.add(number);
  phase = "break";
  show(card);
  $(`${card}-end`).focus();
}

async function present(trial) {
  const mine = (run += 1);
  phase = "loading";
  enable(false);
  const slow = setTimeout(() => ($("trial").hidden ? show("loading") : ($("notice").textContent = texts.loading)), 300);
  let images;
  try {
    images = await trial.pair;
  } catch {
    clearTimeout(slow);
    return mine === run && broken(trial);
  }
  clearTimeout(slow);
  if (mine !== run) return;
  stale = 0;
  if (!swap(trial, images)) return;
  requestAnimationFrame(() =>
    requestAnimationFrame(() => {
      if (mine !== run) return;
      const now = performance.now();
      current = { trial, paintedAt: now, hiddenMs: watch.hiddenBy(now), hurried: 0 };
      phase = "shown";
      ripen(mine);
    }),
  );
}

// Milliseconds since the pair was painted, without those on a hidden page.
function exposure(now) {
  return now - current.paintedAt - (watch.hiddenBy(now) - current.hiddenMs);
}

function ripen(mine) {
  if (mine !== run || phase !== "shown") return;
  const left = setup.minimumExposureMs - exposure(performance.now());
  if (left > 0) setTimeout(ripen, left, mine);
  else enable(true);
}

// Both images at once, in the same frame. False when the window is too small for them.
function swap(trial, images) {
  const layout = layoutOf(room, setup.stack);
  if (!layout) {
    phase = "narrow";
    show("narrow");
    return false;
  }
  const isStacked = layout === "stack";
  $("pair").classList.toggle("stacked", isStacked);
  document.querySelector(".choices").classList.toggle("stacked", isStacked);
  keys.stacked = isStacked;
  const names = isStacked ? [texts.upper, texts.lower] : [texts.left, texts.right];
  images.forEach((image, side) => {
    image.alt = names[side];
    image.style.transform = "";
    setSize(boxes[side], cssSize(room));
    boxes[side].replaceChildren(image);
  });
  caption("left", isStacked ? texts.chooseUpper : texts.chooseLeft);
  caption("right", isStacked ? texts.chooseLower : texts.chooseRight);
  hints();
  zoom?.reset();
  $("question").textContent = trial.question;
  $("notice").textContent = notice;
  notice = "";
  closeFeedback();
  show("trial");
  progress(trial);
  $("undo").setAttribute("aria-disabled", String(!last));
  if (!buttons.includes(document.activeElement) && document.activeElement !== $("undo")) $("question").focus({ preventScroll: true });
  say(`${$("count").textContent}. ${trial.question}`);
  return true;
}

function caption(side, text) {
  $(`choose-${side}`).querySelector(".caption").textContent = text;
}

// Each button names the keys that press it, to eyes and to screen readers; the help names those of each choice of keys.
function hints() {
  const named = ["left", "tie", "right", "undo"]
    .map((action) => [action, $(action === "undo" ? "undo" : `choose-${action}`)])
    .filter(([, button]) => button);
  for (const [action, button] of named) {
    const names = keys.codes(action).map((code) => code.replace("Key", ""));
    if (names.length) button.setAttribute("aria-keyshortcuts", names.join(" "));
    else button.removeAttribute("aria-keyshortcuts");
    const glyph = button.querySelector(".glyph");
    if (glyph) glyph.textContent = GLYPHS[names[0]] ?? names[0] ?? "";
  }
  for (const option of help.querySelectorAll("[name=keys]")) {
    const text = option.nextElementSibling;
    if (!text) continue;
    const one = ([action, button]) => {
      const [code] = keys.codes(action, keys.mapOf(option.value));
      const key = code === "Space" ? texts.space : (GLYPHS[code] ?? code.replace("Key", ""));
      return `${key} ${button.querySelector(".caption").textContent}`;
    };
    text.textContent = named.map(one).join(" · ");
  }
}

function pendingAnswers() {
  const count = (wanted) => outbox.items.filter(({ kind, practice }) => kind === wanted && !practice).length;
  return count("vote") - count("undo");
}

function progress(trial = current?.trial) {
  const done = Math.max(0, Math.min(server.total, server.done + pendingAnswers()));
  $("progress").max = Math.max(1, server.total);
  $("progress").value = done;
  if (!trial) return;
  $("minutes").textContent = "";
  if (trial.practice) return void ($("count").textContent = fill(texts.practice, { n: trial.number, total: setup.practice }));
  $("count").textContent = fill(texts.trial, { n: Math.min(server.total, done + 1), total: server.total });
  if (answeredHere < 5) return;
  const left = ((performance.now() - startedAt) / answeredHere) * (server.total - done);
  $("minutes").textContent = fill(texts.minutes, { n: Math.max(1, Math.round(left / 60000)) });
}

function enable(isOn) {
  for (const button of buttons) button.setAttribute("aria-disabled", String(!isOn));
}

// A pair that does not load: ask for fresh addresses once, then set it aside for another. Never an answer.
async function broken(trial, detail = "load") {
  stale += 1;
  if (stale === 1) return refresh();
  stale = 0;
  await report(trial, "image", detail);
}

async function report(trial, kind, detail) {
  run += 1;
  phase = "loading";
  enable(false);
  try {
    const answer = await post(urls.fault, { tab, trial: trial.id, kind, detail });
    answered.add(trial.id);
    take(answer);
    // Repeats of the faulty pair are set aside with it.
    const open = new Set(answer.trials.map(({ id }) => id));
    for (const id of known.keys()) if (!open.has(id)) known.delete(id);
    notice = texts.replaced;
    next();
  } catch (error) {
    if (error instanceof Refused) return error.code === "other_tab" ? elsewhere() : location.reload();
    outbox.on.state("offline");
    await pause(3000);
    refresh();
  }
}

// --- answering ------------------------------------------------------------------------------------------------------

function answer(choice, input) {
  if (choice === "tie" && !setup.ties) return;
  if (phase !== "shown") return;
  const now = performance.now();
  const exposed = exposure(now);
  if (exposed < setup.minimumExposureMs) {
    current.hurried += 1;
    return;
  }
  const { trial } = current;
  const [width, height] = cssSize(room);
  const tenths = (ms) => Math.round(ms * 10) / 10;
  const presentation = {
    width_px: width,
    height_px: height,
    pixel_ratio: devicePixelRatio || 1,
    layout: keys.stacked ? "stack" : "row",
    input,
    hurried: current.hurried,
  };
  if (zoom?.uses) presentation.zoom = { uses: zoom.uses, largest: zoom.largest };
  const body = {
    trial: trial.id,
    key: newKey(),
    choice,
    response_ms: tenths(now - current.paintedAt),
    exposure_ms: tenths(exposed),
    presentation,
  };
  answered.add(trial.id);
  const button = $(`choose-${choice}`);
  button.classList.add("taken");
  setTimeout(() => button.classList.remove("taken"), 180);
  enable(false);
  say(texts[{ left: "choseLeft", right: "choseRight", tie: "choseTie" }[choice]]);
  last = trial.practice ? null : trial;
  if (!trial.practice) answeredHere += 1;
  phase = trial.practice ? "feedback" : "answered";
  $("notice").textContent = "";
  outbox.add({ kind: "vote", practice: trial.practice, body });
  for (const id of known.keys()) if (answered.has(id) && id !== last?.id) known.delete(id);
  if (!trial.practice) next();
}

function feedback(answer, choice) {
  const text = answer.correct ? texts.correct : choice === "tie" ? texts.wrongTie : texts.wrong;
  $("feedback").textContent = answer.correct === undefined ? "" : text;
  $("answering").classList.add("over");
  $("continue").hidden = false;
  $("continue").focus();
}

function closeFeedback() {
  $("feedback").textContent = "";
  $("answering").classList.remove("over");
  $("continue").hidden = true;
}

function undo() {
  if (!last || !["shown", "loading", "waiting", "break"].includes(phase)) return;
  const trial = last;
  last = null;
  answered.delete(trial.id);
  known.set(trial.id, trial);
  answeredHere = Math.max(0, answeredHere - 1);
  outbox.add({ kind: "undo", body: { key: newKey() } });
  notice = texts.undone;
  present(trial);
}

function finish() {
  phase = "done";
  show("sending");
  const form = document.createElement("form");
  form.method = "post";
  form.action = urls.finish;
  document.body.append(form);
  form.submit();
}

// --- wiring ---------------------------------------------------------------------------------------------------------

const help = $("help");
const keys = new Keys((action) => (action === "undo" ? undo() : answer(action, "key")), () => help.open || phase === "feedback");
const zoom = setup.zoom ? new Zoom($("pair"), boxes, () => help.open || keys.name === "off") : null;

for (const button of buttons) {
  button.addEventListener("click", (event) => answer(button.dataset.choice, event.pointerType || (event.detail ? "mouse" : "key")));
}
if (!zoom) for (const box of boxes) box.addEventListener("click", (event) => answer(box.id, event.pointerType || "mouse"));
$("undo").addEventListener("click", undo);
$("fault").addEventListener("click", () => phase === "shown" && report(current.trial, "display", "reported by the rater"));
$("continue").addEventListener("click", () => {
  $("continue").hidden = true;
  next();
});
$("ready-end").addEventListener("click", () => ((startedAt = performance.now()), (phase = "loading"), next()));
$("pause-end").addEventListener("click", () => ((phase = "loading"), next()));
$("take-over").addEventListener("click", () => ((phase = "loading"), refresh().then(() => outbox.flush())));
$("help-open").addEventListener("click", () => {
  help.showModal();
  $("help-title").focus(); // else a low window shows the help's end; a panel's frame refuses the autofocus attribute
});
for (const option of help.querySelectorAll("[name=keys]")) {
  option.checked = option.value === keys.name;
  option.addEventListener("change", () => (keys.choose(option.value), hints()));
}
hints();
addEventListener("resize", () => {
  const fits = layoutOf(room, setup.stack);
  if (["shown", "loading"].includes(phase) && current && !$("trial").hidden && (!fits || (fits === "stack") !== keys.stacked || boxes[0].offsetWidth !== Math.round(cssSize(room)[0]))) present(current.trial);
  else if (phase === "narrow" && fits) next();
});
addEventListener("pageshow", (event) => event.persisted && location.reload());

await outbox.open();
// What an earlier load of this page had not sent yet is answered all the same.
const kept = [];
for (const { kind, body } of outbox.items) kind === "vote" ? kept.push(body.trial) : kept.pop();
kept.forEach((id) => answered.add(id));
await refresh();
outbox.flush();
