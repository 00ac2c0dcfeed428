// The trial page: show a pair when both images are decoded, take one answer, go on at once, save behind the scenes.
import { Asking } from "./asking.js";
import { Rows } from "./buttons.js";
import { Beyond } from "./beyond.js";
import { Definition } from "./definition.js";
import { Help } from "./help.js";
import { Hints } from "./hints.js";
import { Keys } from "./keys.js";
import { newKey } from "./net.js";
import { Panel } from "./panel.js";
import { Pictures } from "./pictures.js";
import { Presenter } from "./presenter.js";
import { Prompt } from "./prompt.js";
import { Session } from "./session.js";
import { Visit } from "./visit.js";
import { Watch } from "./watch.js";
import { Zoom } from "./zoom.js";

const page = {};
for (const element of document.querySelectorAll("[id]")) page[element.id] ??= element;
const setup = JSON.parse(page.setup.textContent);
const sides = [["left", page.left], ["right", page.right]];
const rows = new Rows(page, page.choices ? [""] : setup.criteria.map(({ key }) => key));
const asking = new Asking(setup.criteria);
const options = ["arrows", "letters", "off"];

const help = new Help({ dialog: page.help, title: page["help-title"], openers: [page["help-open"]], closer: page["help-close"] });
const keys = new Keys(
  (action) => (action === "undo" ? visit.undo() : visit.answer(action, "key")),
  () => help.isOpen || definition?.isOpen || ["feedback", "beyond"].includes(visit.phase),
  (event) => prompt?.takes(event),
);
const hints = new Hints(keys, {
  buttons: [...rows.buttons, { action: "undo", button: page.undo }],
  choices: ["arrows", "letters"].map((name) => ({ name, text: page[`explain-${name}`] })),
  space: setup.texts.space,
});
const definition = page.definition && new Definition(page, setup.criteria, asking);
const prompt = page.prompt && new Prompt(page.prompt, page["prompt-text"], () => help.isOpen || definition?.isOpen);
const pictures = new Pictures([page.left, page.right, page.reference].filter(Boolean));
const zoom = setup.zoom ? new Zoom(page.pair, pictures, () => help.isOpen || definition?.isOpen || keys.name === "off") : null;
const watch = new Watch(setup.urls.events);
const presenter = new Presenter(setup, { page, pictures, keys, hints, zoom, rows, asking, prompt });
const panel = setup.beyond && new Panel(page, new Beyond(setup.beyond), () => help.isOpen || definition?.isOpen || keys.name === "off");
const visit = new Visit(setup, { session: new Session(setup), presenter, asking, panel, watch, tab: newKey() });

const on = (element, act) => element.addEventListener("click", act);
for (const { action, button, key } of rows.buttons) {
  on(button, (event) => visit.answer(action, watch.inputOf(event), key || undefined));
}
for (const { key, box } of rows.rows) box.addEventListener("focusin", () => key && visit.focus(key));
if (!zoom) for (const [side, box] of sides) on(box, (event) => visit.answer(side, watch.inputOf(event)));
on(page.undo, () => visit.undo());
on(page.fault, () => visit.reportDisplay());
on(page.continue, () => visit.endFeedback());
for (const card of ["ready", "pause", "block"].filter((name) => page[name])) on(page[`${card}-end`], () => visit.endRest(card));
on(page["take-over"], () => visit.takeOver());
for (const name of options) {
  const option = page[`keys-${name}`];
  option.checked = name === keys.name;
  option.addEventListener("change", () => {
    keys.choose(name);
    hints.show();
  });
}
hints.show(presenter.captions());
addEventListener("resize", () => visit.resized());
addEventListener("pageshow", (event) => event.persisted && location.reload());
document.documentElement.dataset.started = "";
await visit.start();
