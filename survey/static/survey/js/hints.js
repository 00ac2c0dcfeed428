// Each button names the keys that press it, to eyes and to screen readers; the help names those of each choice of keys.

const GLYPHS = { ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", Space: "␣" };
const short = (code) => code.replace("Key", "");

export class Hints {
  // `buttons` are {action, button, glyph} of those on the page, `choices` {name, text} of the help's choices of keys.
  constructor(keys, { buttons, choices, space }) {
    Object.assign(this, { keys, buttons, choices, space, captions: {} });
  }

  // `captions` say what the buttons are called in the present layout, by action.
  show(captions = this.captions) {
    this.captions = captions;
    for (const one of this.buttons) this.mark(one, this.keys.codes(one.action).map(short));
    for (const { name, text } of this.choices) text.textContent = this.explanation(this.keys.mapOf(name));
  }

  mark({ button, glyph }, names) {
    if (names.length) button.setAttribute("aria-keyshortcuts", names.join(" "));
    else button.removeAttribute("aria-keyshortcuts");
    if (glyph) glyph.textContent = GLYPHS[names[0]] ?? names[0] ?? "";
  }

  explanation(map) {
    const one = ({ action }) => {
      const [code] = this.keys.codes(action, map);
      const key = code === "Space" ? this.space : (GLYPHS[code] ?? short(code));
      return `${key} ${this.captions[action]}`;
    };
    // Several rows have the same buttons.
    const actions = new Map(this.buttons.map((button) => [button.action, button]));
    return [...actions.values()].map(one).join(" · ");
  }
}
