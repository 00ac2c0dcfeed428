// `make lint` runs this over the scripts of the pages and their tests.
import js from "@eslint/js";
import globals from "globals";

import newerCalls from "./tests/js/floor/rule.js";

export default [
  js.configs.recommended,
  {
    rules: {
      curly: ["error", "multi-line"],
      eqeqeq: "error",
      "max-lines": ["error", 300],
      "max-lines-per-function": ["error", { max: 30, skipComments: true }],
      "no-empty": ["error", { allowEmptyCatch: true }],
      "no-var": "error",
      "object-shorthand": "error",
      "prefer-const": "error",
    },
  },
  {
    files: ["survey/static/**/*.js"],
    languageOptions: { ecmaVersion: 2022, globals: globals.browser },
    plugins: { floor: { rules: { "newer-calls": newerCalls } } },
    rules: {
      "floor/newer-calls": ["error", { own: ["drop", "image", "last", "layout", "presentation", "show", "space", "take"] }],
      // Words of ECMAScript 2022 and before that Safari learnt after 15.4.
      "no-restricted-syntax": [
        "error",
        { selector: "StaticBlock", message: "Safari 16.4 is the first with static blocks." },
        { selector: "Literal[regex.pattern=/\\(\\?<[=!]/]", message: "Safari 16.4 is the first that looks behind." },
      ],
    },
  },
  {
    // Read by browsers that know none of the newer words.
    files: ["survey/static/survey/js/floor.js"],
    languageOptions: { ecmaVersion: 5, sourceType: "script" },
    rules: { "no-var": "off", "prefer-const": "off", "object-shorthand": "off" },
  },
  { files: ["tests/js/**/*.js", "*.js"], languageOptions: { globals: globals.node }, rules: { "max-lines-per-function": "off" } },
];
