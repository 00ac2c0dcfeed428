// Linked zoom and pan: both images show the same spot, enlarged by whole steps. Its use is counted.

const STEPS = { "+": 2, "=": 2, "-": 0.5 };

export class Zoom {
  constructor(pair, pictures, isDeaf) {
    this.pictures = pictures;
    this.reset();
    pair.classList.add("zoomed");
    pair.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.to(this.scale * (event.deltaY < 0 ? 2 : 0.5), spot(event));
    }, { passive: false });
    pair.addEventListener("dblclick", (event) => this.to(this.scale > 1 ? 1 : 4, spot(event)));
    pair.addEventListener("pointermove", (event) => this.scale > 1 && this.to(this.scale, spot(event)));
    addEventListener("keydown", (event) => {
      const step = STEPS[event.key];
      if (step && !isDeaf() && !event.ctrlKey && !event.metaKey && !event.altKey) this.to(this.scale * step, this.at);
    });
  }

  to(wanted, at) {
    if (!at) return;
    const scale = Math.min(8, Math.max(1, wanted));
    if (scale !== this.scale && scale > 1) this.uses += 1;
    Object.assign(this, { scale, at, largest: Math.max(this.largest, scale) });
    this.pictures.enlarge(scale, at);
  }

  reset() {
    Object.assign(this, { scale: 1, uses: 0, largest: 1, at: "50% 50%" });
  }
}

// Where in its image the pointer is; nothing between the images.
function spot(event) {
  const box = event.target.closest(".box");
  if (!box) return null;
  const area = box.getBoundingClientRect();
  return `${((event.clientX - area.left) / area.width) * 100}% ${((event.clientY - area.top) / area.height) * 100}%`;
}
