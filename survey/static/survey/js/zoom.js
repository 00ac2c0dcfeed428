// Linked zoom and pan: both images show the same spot, enlarged by whole steps. Its use is counted.

export class Zoom {
  constructor(pair, boxes) {
    this.boxes = boxes;
    this.reset();
    pair.classList.add("zoomed");
    pair.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.to(Math.min(8, Math.max(1, this.scale * (event.deltaY < 0 ? 2 : 0.5))), event);
    }, { passive: false });
    pair.addEventListener("dblclick", (event) => this.to(this.scale > 1 ? 1 : 4, event));
    pair.addEventListener("pointermove", (event) => this.scale > 1 && this.to(this.scale, event));
  }

  to(scale, event) {
    const box = event.target.closest(".box");
    if (!box) return;
    const area = box.getBoundingClientRect();
    const at = `${((event.clientX - area.left) / area.width) * 100}% ${((event.clientY - area.top) / area.height) * 100}%`;
    if (scale !== this.scale && scale > 1) this.uses += 1;
    this.scale = scale;
    this.largest = Math.max(this.largest, scale);
    for (const { firstElementChild: image } of this.boxes) {
      if (!image) continue;
      image.style.transformOrigin = at;
      image.style.transform = scale > 1 ? `scale(${scale})` : "";
    }
  }

  reset() {
    Object.assign(this, { scale: 1, uses: 0, largest: 1 });
  }
}
