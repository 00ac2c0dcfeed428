// The trial page: show a pair when both images are decoded, take one answer, go on at once, save behind the scenes.
import { Hints } from "./hints.js";
import { Keys } from "./keys.js";
import { newKey } from "./net.js";
import { Pictures } from "./pictures.js";
import { Presenter } from "./presenter.js";
import { Session } from "./session.js";
import { Visit } from "./visit.js";
import { Watch } from "./watch.js";
import { Zoom } from "./zoom.js";

const $ = (id) => document.getElementById(id);
const on = (id, act) => $(id).addEventListener("click", act);
const setup = JSON.parse($("setup").textContent);
const boxes = [$("left"), $("right")];
const buttons = [...document.querySelectorAll("[data-choice]")];
const pictures = new Pictures(boxes);
const help = $("help");
const options = [...help.querySelectorAll("[name=keys]")];

const keys = new Keys(
  (action) => (action === "undo" ? visit.undo() : visit.answer(action, "key")),
  () => help.open || visit.phase === "feedback",
);
const named = [...buttons.map((button) => [button.dataset.choice, button]), ["undo", $("undo")]];
const hints = new Hints(keys, { buttons: named, options, space: setup.texts.space });
const zoom = setup.zoom ? new Zoom($("pair"), pictures, () => help.open || keys.name === "off") : null;
const visit = new Visit(setup, {
  session: new Session(setup),
  presenter: new Presenter(setup, { buttons, pictures, keys, hints, zoom }),
  watch: new Watch(setup.urls.events),
  tab: newKey(),
});

for (const button of buttons) {
  button.addEventListener("click", (event) => visit.answer(button.dataset.choice, event.pointerType || (event.detail ? "mouse" : "key")));
}
if (!zoom) for (const box of boxes) box.addEventListener("click", (event) => visit.answer(box.id, event.pointerType || "mouse"));
on("undo", () => visit.undo());
on("fault", () => visit.reportDisplay());
on("continue", () => {
  $("continue").hidden = true;
  visit.next();
});
on("ready-end", () => {
  visit.startedAt = performance.now();
  visit.endRest();
});
on("pause-end", () => visit.endRest());
on("take-over", () => visit.takeOver());
on("help-open", () => {
  help.showModal();
  $("help-title").focus(); // else a low window shows the help's end; a panel's frame refuses the autofocus attribute
});
for (const option of options) {
  option.checked = option.value === keys.name;
  option.addEventListener("change", () => {
    keys.choose(option.value);
    hints.show();
  });
}
hints.show();
addEventListener("resize", () => visit.resized());
addEventListener("pageshow", (event) => event.persisted && location.reload());

await visit.start();
