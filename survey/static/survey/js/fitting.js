// A text in a room of one height: smaller where it has more to say, and scrolled where that is not enough. Nothing moves.

export function fitText(element) {
  const isTooLong = () => element.scrollHeight > element.clientHeight + 1;
  element.classList.remove("long", "scrolled");
  element.classList.toggle("long", isTooLong());
  element.classList.toggle("scrolled", isTooLong());
  element.scrollTop = 0;
  // What scrolls must be within reach of the tab key; the question takes the focus in any case.
  element.tabIndex = element.classList.contains("scrolled") ? 0 : -1;
}
