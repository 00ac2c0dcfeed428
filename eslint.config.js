// `make lint` runs this over the scripts of the pages and their tests.
import js from "@eslint/js";
import globals from "globals";

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
  { files: ["survey/static/**/*.js"], languageOptions: { ecmaVersion: 2022, globals: globals.browser } },
  { files: ["tests/js/**/*.js", "*.js"], languageOptions: { globals: globals.node }, rules: { "max-lines-per-function": "off" } },
];
