/**
 * Proves that create_index.sh builds an index and nothing else, sets up outside a batch job only, names what a job lacks, starts a process for each task, is queued again near its time limit, and finds the repository from Slurm's spool folder.
 * Alone: npx vitest run test/scripts/create-index.test.ts
 */
import { copyFileSync, readFileSync } from "node:fs";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { FakeMachine } from "./fake-machine.js";

let machine: FakeMachine;
beforeEach(() => {
  machine = new FakeMachine();
});
afterEach(() => machine.remove());

const lastLine = (text: string): string => text.trimEnd().split("\n").at(-1) ?? "";

describe("create_index.sh", () => {
  it("cozyrag 4: sets up and builds the index, and trains nothing", () => {
    const { status, out } = machine.run("scripts/create_index.sh", ["--run", "latest", "index.factory=IVF64,Flat"]);
    expect(status).toBe(0);
    expect(out).toContain("==> set up");
    expect(lastLine(out)).toBe("tandem index --run latest index.factory=IVF64,Flat");
    expect(out).not.toContain("tandem train");
  });

  it("passes words with spaces on, and the program's exit code", () => {
    machine.write("bin/tandem", "console.log(JSON.stringify(process.argv.slice(2)));\nprocess.exit(2);\n");
    const { status, out } = machine.run("scripts/create_index.sh", ["--retriever", "my model", "--corpus", "c", "--output", "o"]);
    expect(status).toBe(2);
    expect(JSON.parse(lastLine(out))).toEqual(["index", "--retriever", "my model", "--corpus", "c", "--output", "o"]);
  });

  it("says what to name when nothing is named, before it sets anything up", () => {
    const { status, errors } = machine.run("scripts/create_index.sh");
    expect(status).toBe(2);
    expect(errors[0]).toBe("tandem: create_index.sh: says neither which run nor which folders");
    expect(machine.calls()).toEqual([]);
  });

  it("never sets up inside a Slurm job: it exits 2 and names the login node's command", () => {
    const { status, out, errors } = machine.run("scripts/create_index.sh", ["--run", "latest"], { SLURM_JOB_ID: "1" });
    expect(status).toBe(2);
    expect(out).toBe("");
    expect(errors.join("\n")).toContain("a job never sets up");
    expect(errors.join("\n")).toContain(`bash ${machine.repo}/scripts/setup.sh`);
    expect(machine.calls()).toEqual([]);
  });

  it("runs inside a Slurm job once set up; asked for FAISS where its add-on isn't built, it exits 2 first", () => {
    machine.run("scripts/setup.sh");
    machine.forgetCalls();
    const job = { SLURM_JOB_ID: "1" };
    const exact = machine.run("scripts/create_index.sh", ["--run", "latest"], job);
    expect([exact.status, lastLine(exact.out)]).toEqual([0, "tandem index --run latest"]);
    const faiss = machine.run("scripts/create_index.sh", ["--run", "latest", "index.factory=Flat"], job);
    expect(faiss.status).toBe(2);
    expect(faiss.errors[0]).toBe("tandem: build/faiss/faiss.node is missing, and a job never sets up");
    machine.write("build/faiss/faiss.node", "");
    expect(machine.run("scripts/create_index.sh", ["--run", "latest", "index.factory=Flat"], job).status).toBe(0);
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
    machine.program("scontrol", `echo "scontrol $*" >>"$calls"`);
    machine.program("srun", `echo "srun $*" >>"$calls"; while [[ "$1" == --* ]]; do shift; done; exec "$@"`);
    machine.write("bin/tandem", patient);
    machine.write("package.json", `{ "type": "module" }`);
    const job = "bash scripts/create_index.sh --run r & job=$!";
    machine.write("job.sh", `${job}\nuntil [ -f started ]; do sleep 0.05; done\nkill -${signal} $job\nwait $job\n`);
    return machine.run("job.sh", [], { SLURM_JOB_ID: "41", ...env });
  };

  it("is queued again when its time limit is near, with what is embedded kept, and the same command goes on", () => {
    const { status, out } = signalled("USR2");
    expect(status).toBe(75);
    expect(out).toMatch(/^index --run r$/m);
    expect(machine.calls("scontrol")).toEqual(["scontrol requeue 41"]);
    expect(machine.calls("srun")).toEqual([]);
  });

  it("starts a process for each task of a job with several, and signals and requeues them as one", () => {
    expect(signalled("USR2", { SLURM_NTASKS: "2", SLURM_CPUS_PER_TASK: "4" }).status).toBe(75);
    expect(machine.calls("srun")).toEqual([
      `srun --kill-on-bad-exit=0 --wait=0 --cpus-per-task=4 node ${machine.repo}/bin/tandem index --run r`,
    ]);
    expect(machine.calls("scontrol")).toEqual(["scontrol requeue 41"]);
  });

  it("isn't queued again when it is cancelled", () => {
    expect(signalled("TERM").status).toBe(75);
    expect(machine.calls("scontrol")).toEqual([]);
  });

  it("tells Slurm so in its head", () => {
    const head = readFileSync(path.join(machine.repo, "scripts/create_index.sh"), "utf8").split("\n");
    for (const word of ["--signal=B:USR2@120", "--requeue", "--open-mode=append"]) expect(head).toContain(`#SBATCH ${word}`);
  });

  it.each(["", "scripts"])("finds the repository from Slurm's spool folder, submitted from '%s'", (submittedFrom) => {
    machine.run("scripts/setup.sh");
    const copy = path.join(machine.folder, "slurm_script");
    copyFileSync(path.join(machine.repo, "scripts/create_index.sh"), copy);
    const env = { SLURM_JOB_ID: "1", SLURM_SUBMIT_DIR: path.join(machine.repo, submittedFrom) };
    expect(lastLine(machine.run(copy, ["--run", "r"], env, machine.folder).out)).toBe("tandem index --run r");
  });
});
