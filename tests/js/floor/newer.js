// Which calls came to browsers only after the oldest that the pages work in (package.json's "browserslist"), by MDN's data.
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const bcd = require("@mdn/browser-compat-data");
const { browserslist } = require("../../../package.json");

const MDN_NAMES = { ios_saf: "safari_ios" };
const FLOOR = browserslist.map((one) => {
  const [browser, version] = one.split(" ");
  return [MDN_NAMES[browser] ?? browser, Number(version)];
});

// The first version that has it without a flag, a prefix or another name.
function since(compat, browser) {
  const statements = [compat.support[browser] ?? []].flat();
  const plain = statements.filter((one) => !one.flags && !one.prefix && !one.alternative_name && !one.version_removed);
  return Math.min(Infinity, ...plain.map(({ version_added: version }) => Number(String(version).replace("≤", "")) || Infinity));
}

function isNewer({ __compat: compat }) {
  return FLOOR.some(([browser, version]) => since(compat, browser) > version);
}

const homes = { ...bcd.javascript.builtins, ...bcd.api };
delete homes.__compat;
const globals = new Map(); // name: is it newer
const statics = new Map(); // "AbortSignal.timeout": is it newer
const newer = []; // [home, name, isStatic]
const members = new Map(); // "showModal": is it newer wherever there is one

for (const [home, entries] of Object.entries(homes)) {
  if (entries.__compat) globals.set(home, isNewer(entries));
  for (const [entry, value] of Object.entries(entries)) {
    if (entry === "__compat" || !value.__compat || /_(event|permission)$/.test(entry)) continue;
    const name = entry.replace(/_static$/, "");
    const isStatic = name !== entry;
    if (isNewer(value)) newer.push([home, name, isStatic]);
    if (isStatic || home in bcd.javascript.builtins) statics.set(`${home}.${name}`, isNewer(value));
    if (!isStatic) members.set(name, (members.get(name) ?? true) && isNewer(value));
  }
}

export const isNewerGlobal = (name) => globals.get(name) === true;
export const isNewerStatic = (home, name) => (globals.has(home) ? statics.get(`${home}.${name}`) : undefined);
// "marginInline", of an element's style.
export function isNewerStyle(name) {
  const property = bcd.css.properties[name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)];
  return property !== undefined && isNewer(property);
}
export const isNewerMember = (name) => members.get(name) === true;

// All of them, as [home, name, isStatic]; a home by itself has no name.
export const newerCalls = () => [...[...globals].filter(([, is]) => is).map(([home]) => [home, "", false]), ...newer];
