// Type-aware lint for everything; zero warnings is the rule (`npm run lint`).
import path from "node:path";
import js from "@eslint/js";
import tseslint from "typescript-eslint";

/** One concept, one file, in kebab-case from the first commit; vague names are refused. */
const fileNames = {
  rules: {
    "kebab-case": {
      create(context) {
        return {
          Program(node) {
            const name = path.basename(context.filename).replace(/(\.[a-z-]+)*\.[cm]?[jt]s$/, "");
            if (!/^[a-z0-9]+(-[a-z0-9]+)*$/.test(name)) context.report({ node, message: `file name '${name}' is not kebab-case` });
            if (/^(utils?|helpers?|common|misc)$/.test(name)) context.report({ node, message: `'${name}' says nothing; name the concept` });
          },
        };
      },
    },
  },
};

export default tseslint.config(
  {
    ignores: [
      ".dependency-cruiser.cjs",
      "dist/",
      "build/",
      "node_modules/",
      "runs/",
      ".venv/",
      ".venv-reference/",
      ".venv-mlflow/",
      "**/*.generated.ts",
    ],
  },
  js.configs.recommended,
  ...tseslint.configs.strictTypeChecked,
  {
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    linterOptions: { reportUnusedDisableDirectives: "error" },
    plugins: { "file-names": fileNames },
    rules: {
      "file-names/kebab-case": "error",
      "max-lines": ["error", { max: 450 }],
      "max-lines-per-function": ["error", { max: 60, skipBlankLines: true, skipComments: true }],
      "no-restricted-imports": ["error", { patterns: [{ group: ["**/index.js"], message: "no barrels: import the file itself" }] }],
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true, allowBoolean: true }],
      "@typescript-eslint/no-confusing-void-expression": ["error", { ignoreArrowShorthand: true }],
      "@typescript-eslint/consistent-type-imports": "error",
    },
  },
  {
    files: ["test/**", "bench/**", "tools/**"],
    rules: { "max-lines-per-function": "off", "@typescript-eslint/no-non-null-assertion": "off", "no-restricted-imports": "off" },
  },
  { files: ["**/*.js", "**/*.cjs", "**/*.mjs"], ...tseslint.configs.disableTypeChecked },
);
