// Each button names the keys that press it, to eyes and to screen readers; the help names those of each choice of keys.

const GLYPHS = { ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", Space: "␣" };
const short = (code) => code.replace("Key", "");

export class Hints {
  // `buttons` are [action, button] of those on the page, `options` the help's choices of keys.
  constructor(keys, { buttons, options, space }) {
    Object.assign(this, { keys, buttons, options, space });
  }

  show() {
    for (const [action, button] of this.buttons) this.name(button, this.keys.codes(action).map(short));
    for (const option of this.options) this.explain(option);
  }

  name(button, names) {
    if (names.length) button.setAttribute("aria-keyshortcuts", names.join(" "));
    else button.removeAttribute("aria-keyshortcuts");
    const glyph = button.querySelector(".glyph");
    if (glyph) glyph.textContent = GLYPHS[names[0]] ?? names[0] ?? "";
  }

  explain(option) {
    const text = option.nextElementSibling;
    if (!text) return;
    const map = this.keys.mapOf(option.value);
    const one = ([action, button]) => {
      const [code] = this.keys.codes(action, map);
      const key = code === "Space" ? this.space : (GLYPHS[code] ?? short(code));
      return `${key} ${button.querySelector(".caption").textContent}`;
    };
    text.textContent = this.buttons.map(one).join(" · ");
  }
}
