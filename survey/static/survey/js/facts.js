// What a browser says of itself and of its screen, stored with the visit.

const FRAMES = 20;
const FRAMES_MS = 500; // a hidden page draws none

function frameLength() {
  return new Promise((resolve) => {
    const times = [];
    const tick = (now) => (times.push(now) > FRAMES ? resolve((times[FRAMES] - times[0]) / FRAMES) : requestAnimationFrame(tick));
    requestAnimationFrame(tick);
    setTimeout(resolve, FRAMES_MS, 0);
  });
}

// The smallest step of the clock that times answers: 0.1 ms in Chromium, 1 ms in Firefox and WebKit, 100 ms where a
// browser hides it.
function clockStep(longestMs = 250) {
  const steps = [];
  const start = performance.now();
  for (let last = start, now = start; steps.length < 10 && now - start < longestMs; now = performance.now()) {
    if (now > last) steps.push(now - last);
    last = now;
  }
  return steps.length ? Math.min(...steps) : 0;
}

// What a browser that darkens every page makes of white; the pictures of a pair are out of its reach (pictures.js).
function isForcedDark() {
  const probe = document.createElement("div");
  probe.style.cssText = "display: none; background-color: canvas; color-scheme: light";
  document.body.append(probe);
  const { backgroundColor } = getComputedStyle(probe);
  probe.remove();
  return backgroundColor !== "rgb(255, 255, 255)";
}

const matches = (query) => matchMedia(query).matches;

export async function deviceFacts() {
  const frameMs = await frameLength();
  return {
    width: innerWidth,
    height: innerHeight,
    pixel_ratio: devicePixelRatio || 1,
    is_touch: matches("(pointer: coarse)"),
    screen: `${screen.width}x${screen.height}`,
    gamut: ["rec2020", "p3", "srgb"].find((name) => matches(`(color-gamut: ${name})`)) ?? "",
    colour_depth: screen.colorDepth,
    reduced_motion: matches("(prefers-reduced-motion: reduce)"),
    forced_dark: isForcedDark(),
    forced_colors: matches("(forced-colors: active)"),
    framed: self !== top,
    frame_ms: frameMs.toFixed(2),
    clock_ms: clockStep().toFixed(3),
  };
}
