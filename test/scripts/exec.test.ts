/**
 * Proves that exec.sh runs the quickstart or what it was asked for, sets up outside a batch job only, and finds the repository from Slurm's spool folder;
 * that test.sh closes with a plain line and the runner's own status, and that CI runs both and holds the report against its thresholds. Alone: npx vitest run test/scripts/exec.test.ts
 */
import { copyFileSync } from "node:fs";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { FakeMachine } from "./fake-machine.js";

let machine: FakeMachine;
beforeEach(() => {
  machine = new FakeMachine();
});
afterEach(() => machine.remove());

const lastLine = (text: string): string => text.trimEnd().split("\n").at(-1) ?? "";

describe("exec.sh", () => {
  it("sets up and runs the quickstart", () => {
    const { status, out } = machine.run("scripts/exec.sh");
    expect(status).toBe(0);
    expect(out).toContain("==> set up");
    expect(lastLine(out)).toBe("tandem train experiment=quickstart");
  });

  it("passes overrides on, spaces and all, beside the quickstart", () => {
    machine.write("bin/tandem", "console.log(JSON.stringify(process.argv.slice(2)));\n");
    const { out } = machine.run("scripts/exec.sh", ["seed=1", "name=two words"]);
    expect(JSON.parse(lastLine(out))).toEqual(["train", "experiment=quickstart", "seed=1", "name=two words"]);
  });

  it.each(["experiment=squad", "+experiment=squad"])("lets %s take the quickstart's place", (argument) => {
    expect(lastLine(machine.run("scripts/exec.sh", [argument, "seed=1"]).out)).toBe(`tandem train ${argument} seed=1`);
  });

  it("hands the program's exit code on", () => {
    machine.write("bin/tandem", "process.exit(75);\n");
    expect(machine.run("scripts/exec.sh").status).toBe(75);
  });

  it("never sets up inside a Slurm job: it exits 2 and names the login node's command", () => {
    const { status, out, errors } = machine.run("scripts/exec.sh", [], { SLURM_JOB_ID: "1" });
    expect(status).toBe(2);
    expect(out).toBe("");
    expect(errors.join("\n")).toContain("a job never sets up");
    expect(errors.join("\n")).toContain(`bash ${machine.repo}/scripts/setup.sh`);
    expect(machine.calls()).toEqual([]);
  });

  it("runs inside a Slurm job once set up, and calls no installer", () => {
    machine.run("scripts/setup.sh");
    machine.forgetCalls();
    const { status, out } = machine.run("scripts/exec.sh", ["seed=2"], { SLURM_JOB_ID: "1" });
    expect(status).toBe(0);
    expect(lastLine(out)).toBe("tandem train experiment=quickstart seed=2");
    expect(machine.calls()).toEqual([]);
  });

  /** A program that exits with 75 when it is signalled, or after a while. */
  const patient = `import { writeFileSync } from "node:fs";
for (const signal of ["SIGUSR2", "SIGTERM"]) process.on(signal, () => process.exit(75));
console.log(process.argv.slice(2).join(" "));
writeFileSync(new URL("../started", import.meta.url), "");
setTimeout(() => process.exit(0), 20_000);
`;
  /** Runs the script and signals it, as Slurm does, once the program has started. */
  const signalled = (signal: string, env: Record<string, string> = {}): { status: number | null; out: string } => {
    machine.run("scripts/setup.sh");
    machine.forgetCalls();
    machine.write("bin/tandem", patient);
    machine.write("package.json", `{ "type": "module" }`);
    machine.write("job.sh", `bash scripts/exec.sh & job=$!\nuntil [ -f started ]; do sleep 0.05; done\nkill -${signal} $job\nwait $job\n`);
    return machine.run("job.sh", [], { SLURM_JOB_ID: "41", SLURM_RESTART_COUNT: "1", ...env });
  };

  it("saves and queues the job again when its time limit is near, and goes on after a restart", () => {
    machine.program("scontrol", `echo "scontrol $*" >>"$calls"`);
    const { status, out } = signalled("USR2");
    expect(status).toBe(75);
    expect(out).toContain("train experiment=quickstart --resume auto");
    expect(machine.calls("scontrol")).toEqual(["scontrol requeue 41"]);
  });

  it("starts a process for each task of a job with several, and signals and requeues them as one", () => {
    machine.program("scontrol", `echo "scontrol $*" >>"$calls"`);
    machine.program("srun", `echo "srun $*" >>"$calls"; while [[ "$1" == --* ]]; do shift; done; exec "$@"`);
    const { status, out } = signalled("USR2", { SLURM_NTASKS: "2", SLURM_CPUS_PER_TASK: "4" });
    expect(status).toBe(75);
    expect(out).toContain("train experiment=quickstart --resume auto");
    expect(machine.calls("srun")).toEqual([
      `srun --kill-on-bad-exit=0 --wait=0 --cpus-per-task=4 node ${machine.repo}/bin/tandem train experiment=quickstart --resume auto`,
    ]);
    expect(machine.calls("scontrol")).toEqual(["scontrol requeue 41"]);
  });

  it("saves and leaves when the job is cancelled", () => {
    machine.program("scontrol", `echo "scontrol $*" >>"$calls"`);
    expect(signalled("TERM").status).toBe(75);
    expect(machine.calls("scontrol")).toEqual([]);
  });

  it.each(["", "scripts"])("finds the repository from Slurm's spool folder, submitted from '%s'", (submittedFrom) => {
    machine.run("scripts/setup.sh");
    const copy = path.join(machine.folder, "slurm_script");
    copyFileSync(path.join(machine.repo, "scripts/exec.sh"), copy);
    const env = { SLURM_JOB_ID: "1", SLURM_SUBMIT_DIR: path.join(machine.repo, submittedFrom) };
    expect(lastLine(machine.run(copy, [], env, machine.folder).out)).toBe("tandem train experiment=quickstart");
  });

  it("says so when the job was submitted from elsewhere", () => {
    const copy = path.join(machine.folder, "slurm_script");
    copyFileSync(path.join(machine.repo, "scripts/exec.sh"), copy);
    const { status, errors } = machine.run(copy, [], { SLURM_JOB_ID: "1", SLURM_SUBMIT_DIR: machine.folder }, machine.folder);
    expect(status).toBe(2);
    expect(errors).toEqual(["tandem: the repository was not found; submit the job from its top folder"]);
  });
});

describe("test.sh", () => {
  const report = JSON.stringify({ numPassedTests: 7, numFailedTests: 1, numPendingTests: 2, numTodoTests: 1 });

  it("checks the sources, runs everything, and closes with counts in plain words", () => {
    const { status, out } = machine.run("scripts/test.sh", [], { FAKE_REPORT: report });
    expect(status).toBe(0);
    expect(lastLine(out)).toBe("tests: 7 passed, 1 failed, 3 skipped");
    expect(machine.calls("npm run --silent check").length).toBe(1);
    expect(machine.has(".venv-reference/bin/python")).toBe(true);
  });

  it("hands the runner's status and the arguments on", () => {
    const { status } = machine.run("scripts/test.sh", ["test/storage"], { FAKE_REPORT: report, FAKE_STATUS: "1" });
    expect(status).toBe(1);
    expect(machine.calls("npx vitest run")[0]).toMatch(/test\/storage$/);
    expect(machine.calls("npm run --silent check")).toEqual([]);
  });

  it("counts a run without a report as failed", () => {
    const { status, out } = machine.run("scripts/test.sh", [], { FAKE_STATUS: "1" });
    expect(status).toBe(1);
    expect(lastLine(out)).toBe("tests: 0 passed, 1 failed");
  });
});

describe(".ci/run", () => {
  const report = JSON.stringify({ numPassedTests: 7, numFailedTests: 0, numPendingTests: 0, numTodoTests: 0 });

  it("runs the tests, then the main job, then looks at its report", () => {
    const { status, out } = machine.run(".ci/run", [], { FAKE_REPORT: report });
    expect(status).toBe(0);
    expect(out).toMatch(/^tests: 7 passed, 0 failed, 0 skipped$/m);
    expect(out).toContain("tandem train experiment=quickstart run.dir=build/ci-runs");
    expect(machine.calls("npx").at(-1)).toBe("npx vitest run test/acceptance/quickstart.test.ts of build/ci-runs");
  });

  it("stops where a test fails", () => {
    const { status, out } = machine.run(".ci/run", [], { FAKE_REPORT: report, FAKE_STATUS: "1" });
    expect(status).toBe(1);
    expect(out).not.toContain("tandem train");
  });
});
