// A box over the trials: the help, or what a criterion means. Browsers without modal dialogs (Firefox before 98) get it as a box above the page.

export class Help {
  constructor({ dialog, title, openers, closer }) {
    Object.assign(this, { dialog, title });
    for (const opener of openers) opener.addEventListener("click", () => this.open());
    closer.addEventListener("click", (event) => {
      event.preventDefault();
      this.close();
    });
    dialog.addEventListener("keydown", (event) => event.key === "Escape" && !dialog.showModal && this.close());
  }

  get isOpen() {
    return this.dialog.hasAttribute("open");
  }

  open() {
    if (this.dialog.showModal) this.dialog.showModal();
    else {
      this.dialog.classList.add("unaided");
      this.dialog.setAttribute("open", "");
    }
    this.title.focus(); // else a low window shows the help's end; a panel's frame refuses the autofocus attribute
  }

  close() {
    if (this.dialog.close) this.dialog.close();
    else this.dialog.removeAttribute("open");
  }
}
