// The layers of the design, enforced: data flows one way and there are no circles.
// Each folder lists what it may import besides itself, src/errors.ts and packages.
const layers = {
  storage: [],
  text: ["storage"],
  engine: ["storage"],
  distributed: ["engine"],
  nn: ["engine", "storage"],
  corpus: ["text", "storage"],
  retrieval: ["nn", "engine", "distributed", "text", "corpus", "storage"],
  generation: ["retrieval", "nn", "engine", "distributed", "text", "corpus", "storage"],
  evaluation: ["generation", "retrieval", "nn", "engine", "distributed", "text", "corpus", "storage"],
  tracking: ["storage"],
  training: ["evaluation", "generation", "retrieval", "nn", "engine", "distributed", "text", "corpus", "storage", "tracking"],
  report: ["evaluation", "tracking"],
  config: [],
  job: [
    "config",
    "training",
    "report",
    "tracking",
    "evaluation",
    "generation",
    "retrieval",
    "nn",
    "engine",
    "distributed",
    "text",
    "corpus",
    "storage",
  ],
};

// The folders of src/job, from the ground up: each may import those before it, and what stands beside them (driver.ts, reporter.ts …) where that imports none of them.
const jobFolders = ["models", "index", "tracking", "data", "mining", "phases", "run", "refresh", "training", "report", "plan"];
const jobRules = jobFolders.map((folder, floor) => ({
  name: `job-${folder}`,
  severity: "error",
  from: { path: `^src/job/${folder}/` },
  to: { path: `^src/job/(${[...jobFolders.slice(floor + 1).map((above) => `${above}/`), "train-job\\.ts", "worker\\.ts"].join("|")})` },
}));

const rules = Object.entries(layers).map(([folder, below]) => ({
  name: `layer-${folder}`,
  severity: "error",
  from: { path: `^src/${folder}/` },
  to: { path: "^src/", pathNot: [`^src/(${[folder, ...below].join("|")})/`, "^src/errors\\.ts$"] },
}));

module.exports = {
  forbidden: [
    ...rules,
    ...jobRules,
    { name: "errors-is-a-leaf", severity: "error", from: { path: "^src/errors\\.ts$" }, to: { path: "^src/" } },
    { name: "no-circles", severity: "error", from: {}, to: { circular: true } },
    { name: "source-never-imports-tests", severity: "error", from: { path: "^src/" }, to: { path: "^(test|bench|tools)/" } },
    { name: "only-the-package-root-is-a-barrel", severity: "error", from: { path: "^src/" }, to: { path: "^src/index\\.ts$" } },
    { name: "resolvable", severity: "error", from: {}, to: { couldNotResolve: true } },
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.json" },
    enhancedResolveOptions: { exportsFields: ["exports"], conditionNames: ["import", "require", "node", "default", "types"] },
  },
};
