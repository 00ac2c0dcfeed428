// The check that keeps newer calls out of the pages' scripts.
import { describe, it } from "node:test";

import { RuleTester } from "eslint";
import globals from "globals";

import rule from "./rule.js";

RuleTester.describe = describe;
RuleTester.it = it;

const options = [{ own: ["drop"] }];
const wrong = (code) => ({ code, options, errors: [{ messageId: "newer" }] });
const right = (code) => ({ code, options });

new RuleTester({ languageOptions: { globals: globals.browser } }).run("newer-calls", rule, {
  valid: [
    right("new AbortController(); document.body.append(1); [].includes(2);"),
    right("if (crypto.randomUUID) crypto.randomUUID();"),
    right("const go = (dialog) => (dialog.showModal ? dialog.showModal() : 0);"),
    right("one.checkVisibility?.();"),
    right("typeof structuredClone === 'function' && structuredClone(1);"),
    right("this.session; shelf.drop();"),
    right("box.style.marginInline = '0'; style.left = '0';"),
    right("const structuredClone = 1; use(structuredClone);"),
  ],
  invalid: [
    wrong("AbortSignal.timeout(1);"),
    wrong("structuredClone(1);"),
    wrong("new CompressionStream('gzip');"),
    wrong("dialog.showModal();"),
    wrong("this.dialog.showModal();"),
    wrong("[].findLast(one);"),
    wrong("Object.hasOwn(one, 'a');"),
    wrong("crypto.randomUUID();"),
    wrong("box.style.contentVisibility = 'auto';"),
    wrong("one.checkVisibility();"),
  ],
});
