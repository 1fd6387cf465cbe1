import js from "@eslint/js";
import globals from "globals";

export default [
  { ignores: ["static/vendor/", ".venv/", "build/", "bench/peers/"] },
  js.configs.recommended,
  {
    files: ["static/js/**/*.js"],
    languageOptions: { globals: globals.browser },
    rules: {
      // The pages have no HTML sink; the content security policy would refuse one anyway.
      "no-restricted-properties": [
        "error",
        ...["innerHTML", "outerHTML", "insertAdjacentHTML"].map((property) => ({ property })),
      ],
      "no-unused-vars": ["error", { argsIgnorePattern: "^_", varsIgnorePattern: "^_" }],
      eqeqeq: "error",
      "no-var": "error",
      "prefer-const": "error",
    },
  },
  { files: ["tests/js/**/*.js", "tools/*.mjs", "*.config.js"], languageOptions: { globals: globals.node } },
];
