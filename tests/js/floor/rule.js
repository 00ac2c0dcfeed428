// ESLint rule: no call that the oldest browsers lack, unless the file looks whether it is there: `if (one.call)`,
// `one.call?.()`, `typeof Call`. Types are not known here, so of `one.call` it is asked whether every interface that has a
// `call` is too new. `own` are names that the scripts gave to things of theirs and that newer interfaces have too.
import { isNewerGlobal, isNewerMember, isNewerStatic, isNewerStyle } from "./newer.js";

const TESTS = { IfStatement: "test", ConditionalExpression: "test", LogicalExpression: "left", UnaryExpression: "argument" };

const nameOf = (node) => (node.type === "Identifier" ? node.name : node.property?.name);

function isAskedFor({ parent, ...node }) {
  const key = TESTS[parent.type];
  return (key && parent[key].range === node.range) || (parent.type === "CallExpression" && parent.optional);
}

function create(context) {
  const { sourceCode } = context;
  const [{ own }] = context.options;
  const asked = new Set();
  const found = [];
  const isGlobal = (node) => node.type === "Identifier" && sourceCode.isGlobalReference(node);

  function look(node, isNewer) {
    if (isAskedFor(node)) asked.add(nameOf(node));
    if (isNewer) found.push(node);
  }

  return {
    Identifier: (node) => isGlobal(node) && look(node, isNewerGlobal(node.name)),
    MemberExpression(node) {
      const { object, property, computed } = node;
      if (computed || property.type !== "Identifier" || object.type === "ThisExpression" || own.includes(property.name)) return;
      if (nameOf(object) === "style") return look(node, isNewerStyle(property.name));
      const known = isGlobal(object) ? isNewerStatic(object.name, property.name) : undefined;
      look(node, known ?? isNewerMember(property.name));
    },
    "Program:exit"() {
      for (const node of found.filter((one) => !asked.has(nameOf(one)))) {
        context.report({ node, messageId: "newer", data: { name: sourceCode.getText(node) } });
      }
    },
  };
}

export default {
  meta: {
    type: "problem",
    schema: [{ type: "object", properties: { own: { type: "array" } } }],
    messages: { newer: "{{name}} is missing in the oldest browsers that package.json names: look whether it is there, or do without it." },
  },
  create,
};
