// Is this browser new enough? A plain script in old words, as the modules of the pages do not even parse in older ones: it
// looks for the calls that they cannot do without, and hears of every module that does not load, parse or run.
// survey/templates/survey/rater/base.html holds what is shown then.
(function () {
  "use strict";
  var STARTING_MS = 20000;
  var page = document.documentElement;
  var home = document.currentScript ? document.currentScript.src.replace(/[^/]*$/, "") : "";
  var wanted = [
    [window, "Promise Map Set fetch performance requestAnimationFrame matchMedia getComputedStyle"],
    [window.Promise, "race all"],
    [window.Promise && window.Promise.prototype, "finally"],
    [window.crypto, "getRandomValues"],
    [window.performance, "now"],
    [Object, "assign entries fromEntries"],
    [Array, "from"],
    [Array.prototype, "filter map find includes forEach"],
    [String.prototype, "padStart startsWith"],
    [window.Element && window.Element.prototype, "append remove closest setAttribute"],
    [window.HTMLCanvasElement && window.HTMLCanvasElement.prototype, "getContext"],
    [window.HTMLScriptElement && window.HTMLScriptElement.prototype, "noModule"],
  ];

  function isThere(pair) {
    var names = pair[1].split(" ");
    for (var place = 0; place < names.length; place += 1) if (!pair[0] || !(names[place] in pair[0])) return false;
    return true;
  }

  // Before the page works nothing else is shown; later, what is on it stays.
  function refuse() {
    page.setAttribute("data-unfit", page.hasAttribute("data-started") ? "later" : "never");
  }

  function isOurs(text) {
    return Boolean(home && text && String(text).indexOf(home) >= 0);
  }

  for (var place = 0; place < wanted.length; place += 1) if (!isThere(wanted[place])) refuse();
  addEventListener("error", function (event) {
    if (isOurs(event.filename) || (event.target && event.target.tagName === "SCRIPT" && isOurs(event.target.src))) refuse();
  }, true);
  addEventListener("unhandledrejection", function (event) {
    if (event.reason && isOurs(event.reason.stack)) refuse();
  });
  addEventListener("load", function () {
    var hasModule = document.querySelector("script[type=module]");
    setTimeout(function () {
      if (hasModule && !page.hasAttribute("data-started")) refuse();
    }, STARTING_MS);
  });
})();
