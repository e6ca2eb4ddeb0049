/**
 * The checks of scripts/smoke-native.sh: does the bridge, as compiled here, compute what PyTorch computes, on the processor and on graphics cards? One line a check. It needs no npm package and no test runner, so it
 * runs where only Node and dist/ were carried. It isn't the test suite. The trap: a check that can't run (no Python that holds PyTorch) is named as skipped, never counted as passed.
 *
 * Run: node dist/tools/smoke-native.js [--python <python>] [device]…
 */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import path from "node:path";
import { backwardSummed, openProcessGroup, openStore } from "../src/distributed/process-group.js";
import { AdamW } from "../src/engine/adamw.js";
import { autocast } from "../src/engine/autocast.js";
import { gradientNorm } from "../src/engine/clip.js";
import { dropout } from "../src/engine/dropout.js";
import { engineFacts } from "../src/engine/info.js";
import { OperatorError } from "../src/engine/native.js";
import { scope } from "../src/engine/scope.js";
import { fromBytes, gradients, indices, ops, tensor, toFloat64Array, type Tensor } from "../src/engine/tensor.js";
import { UserError } from "../src/errors.js";
import { loadCausalModel } from "../src/nn/registry.js";
import { packageRoot } from "../src/storage/package-root.js";
import { readSafetensors } from "../src/storage/safetensors.js";

/** Where a check runs, and the Python that holds this libtorch, if one does. */
interface Place {
  readonly device: string;
  readonly python: string | undefined;
}

/** What was seen, or why the check could not run. Throws when it fails. */
type Check = (place: Place) => string | { readonly skipped: string };

/** Errors of a graphics card's sums are larger: other orders of addition. */
const LOGIT_TOLERANCE = { cpu: 1e-5, cuda: 1e-4 } as const;
const GRADIENT_TOLERANCE = { cpu: 1e-4, cuda: 1e-3 } as const;

const kindOf = (device: string): "cpu" | "cuda" => (device.startsWith("cuda") ? "cuda" : "cpu");

function demand(holds: boolean, what: string): void {
  if (!holds) throw new Error(what);
}

/** What was compared, as a phrase. @throws Error unless `error` is below `tolerance` */
function below(error: number, tolerance: number, what: string): string {
  const said = `${what} ${error.toExponential(1)}`;
  demand(error < tolerance, `${said}, expected less than ${tolerance}`);
  return `${said} < ${tolerance}`;
}

/** ‖actual − expected‖ / ‖expected‖, in f64 on the processor. */
function relativeError(actual: Tensor, expected: Tensor): number {
  const [a, b] = [actual, expected].map((entry) => entry.detach().toDevice("cpu", "f64")) as [Tensor, Tensor];
  const difference = a.sub(b);
  return Math.sqrt(difference.mul(difference).sum().item() / b.mul(b).sum().item());
}

const operator: Check = ({ device }) => {
  const product = tensor(
    [
      [1, 2],
      [3, 4],
    ],
    { dtype: "f64", device },
  ).mm(
    tensor(
      [
        [5, 6],
        [7, 8],
      ],
      { dtype: "f64", device },
    ),
  );
  demand(product.device === device, `the product is on ${product.device}`);
  const got = [...toFloat64Array(product)];
  demand(got.join() === "19,22,43,50", `[[1,2],[3,4]]·[[5,6],[7,8]] gave ${got.join()}`);
  return "a product of two matrices is exact";
};

const autograd: Check = ({ device }) => {
  const x = tensor([-1.5, 0, 0.25, 3], { dtype: "f64", device }).setRequiresGrad();
  x.mul(x).mul(x).sum().backward();
  const expected = x.detach().mul(x.detach()).mul(3);
  return below(relativeError(x.grad ?? ops.zerosLike(x), expected), 1e-14, "d(x³)/dx is 3x²: relative error");
};

const dropoutStatistics: Check = ({ device }) => {
  const [p, rows, columns] = [0.3, 64, 4096];
  const context = (seed: number, on: string) => ({
    seed,
    step: 7,
    examples_B: indices(
      Array.from({ length: rows }, (_, i) => i),
      [rows],
      on,
    ),
  });
  const x = ops.ones([rows, columns], "f32", device).setRequiresGrad();
  const dropped = dropout(x, p, context(1, device), 3);
  const keptShare = dropped.detach().ne(0).toDtype("f64").mean().item();
  const sigma = Math.sqrt((p * (1 - p)) / (rows * columns));
  demand(Math.abs(keptShare - (1 - p)) < 5 * sigma, `kept ${keptShare}, expected ${1 - p} ± ${(5 * sigma).toFixed(5)}`);
  // On the processor the kernel is held against the composition of operators; elsewhere against the processor's kernel.
  const drawn = [ops.ones([rows, columns]), context(1, "cpu").examples_B, p, 1, 7, 3] as const;
  const expected = device === "cpu" ? ops.philoxDropoutReference(...drawn) : ops.philoxDropout(...drawn);
  demand(Buffer.compare(dropped.detach().toBytes(), expected.toBytes()) === 0, "the mask isn't the one that Philox draws");
  const other = dropout(x.detach(), p, context(2, device), 3);
  demand(Buffer.compare(dropped.detach().toBytes(), other.toBytes()) !== 0, "another seed gave the same mask");
  const [gradient] = gradients([dropped.sum()], [x]);
  demand(gradient !== undefined && Buffer.compare(gradient.toBytes(), expected.toBytes()) === 0, "the gradient's mask is another one");
  return `kept ${keptShare.toFixed(4)} of ${rows * columns} at p = ${p}; mask and gradient are Philox's, bit for bit`;
};

/** What PyTorch's own AdamW makes of the same weights and gradients, in float64. */
const REFERENCE = `
import json, sys, torch
given = json.load(sys.stdin)
weight = torch.nn.Parameter(torch.tensor(given["start"], dtype=torch.float64))
optimiser = torch.optim.AdamW([weight], lr=given["lr"], betas=tuple(given["betas"]), eps=given["eps"], weight_decay=given["decay"])
for gradient in given["gradients"]:
    weight.grad = torch.tensor(gradient, dtype=torch.float64)
    optimiser.step()
print(json.dumps(weight.tolist()))
`;

const adamw: Check = ({ device, python }) => {
  if (python === undefined) return { skipped: "no Python with PyTorch to compare with (LIBTORCH names a folder)" };
  const size = 37;
  const row = (t: number): number[] => Array.from({ length: size }, (_, i) => Math.sin(1 + i * (t + 1.5)));
  const given = { start: row(0), gradients: [1, 2, 3, 4, 5].map(row), lr: 0.01, betas: [0.8, 0.95] as const, eps: 1e-6, decay: 0.1 };
  const { status, stdout, stderr } = spawnSync(python, ["-c", REFERENCE], { input: JSON.stringify(given), encoding: "utf8" });
  if (status !== 0) throw new Error(`${python} could not run PyTorch's AdamW: ${stderr.trim().split("\n").at(-1) ?? "no output"}`);
  const expected = tensor(new Float64Array(JSON.parse(stdout) as number[]));
  const weight = tensor(new Float64Array(given.start), { device }).setRequiresGrad();
  const optimiser = new AdamW([{ name: "all", parameters: new Map([["w", weight]]), weightDecay: given.decay }], given);
  for (const gradient of given.gradients) {
    weight.setGrad(tensor(new Float64Array(gradient), { device }));
    optimiser.step(given.lr);
  }
  optimiser.dispose();
  return below(relativeError(weight, expected), 1e-12, `${given.gradients.length} steps as torch.optim.AdamW: relative error`);
};

const autocastBf16: Check = ({ device }) => {
  const a = ops.randn([64, 64], "f32", device);
  const exact = a.mm(a);
  const half = autocast("bf16", () => a.mm(a), kindOf(device));
  demand(half.dtype === "bf16" && exact.dtype === "f32", `inside ${half.dtype}, outside ${exact.dtype}; expected bf16 and f32`);
  const error = relativeError(half, exact);
  demand(error > 0, "no rounding was seen: the product inside was not bf16");
  return below(error, 2 ** -7, "a product inside is bf16 and near the f32 one: relative error");
};

const typedError: Check = ({ device }) => {
  try {
    ops.ones([2, 3], "f32", device).mm(ops.ones([2, 3], "f32", device));
  } catch (error) {
    demand(error instanceof OperatorError, `not an OperatorError: ${String(error)}`);
    const { operator: name, message } = error as OperatorError;
    demand(name.includes("mm") && message.includes("[2,3]"), `the message doesn't say what was wrong: ${message}`);
    demand(ops.ones([2], "f32", device).sum().item() === 2, "the device doesn't compute after the error");
    return "wrong shapes are an OperatorError that names operator and shapes, and the next operator works";
  }
  throw new Error("two matrices that don't fit were multiplied");
};

/** The tensors of a golden file on the device. */
function goldenTensors(file: string, device: string): Map<string, Tensor> {
  const types: Readonly<Record<string, "f32" | "f64" | "i64">> = { F32: "f32", F64: "f64", I64: "i64" };
  return new Map(
    [...readSafetensors(file).tensors].map(([name, { dtype, shape, data }]) => {
      const type = types[dtype];
      if (type === undefined) throw new Error(`${file}: ${name} is ${dtype}`);
      const made = fromBytes(data, type, shape);
      return [name, device === "cpu" ? made : made.toDevice(device, type)];
    }),
  );
}

const gpt2: Check = ({ device }) => {
  const folder = path.join(packageRoot(), "test/fixtures/goldens");
  const golden = goldenTensors(path.join(folder, "gpt2-tiny.expected.safetensors"), device);
  const expectedNorm = (JSON.parse(readFileSync(path.join(folder, "gpt2-tiny.expected.json"), "utf8")) as { grad_norm: number }).grad_norm;
  const of = (name: string): Tensor => {
    const found = golden.get(name);
    if (found === undefined) throw new Error(`the golden file has no '${name}'`);
    return found;
  };
  const model = loadCausalModel(path.join(folder, "gpt2-tiny"), { device });
  const [logitTolerance, gradientTolerance] = [LOGIT_TOLERANCE[kindOf(device)], GRADIENT_TOLERANCE[kindOf(device)]];
  const logits_BTV = model.logits(model.forward({ ids_BT: of("input_ids") }));
  const real_N = of("attention_mask").reshape([-1]).nonzero().squeeze(1);
  const vocabulary = model.config.vocabSize;
  const realOf = (logits: Tensor): Tensor => logits.detach().reshape([-1, vocabulary]).indexSelect(0, real_N);
  const seen = [below(relativeError(realOf(logits_BTV), realOf(of("logits"))), logitTolerance, "logits")];
  const length = of("input_ids").size(1);
  const loss = logits_BTV
    .narrow(1, 0, length - 1)
    .reshape([-1, vocabulary])
    .crossEntropyLoss(
      of("labels")
        .narrow(1, 1, length - 1)
        .reshape([-1]),
    );
  loss.backward();
  seen.push(below(Math.abs(loss.item() / of("loss").item() - 1), logitTolerance, "loss"));
  seen.push(below(Math.abs(gradientNorm(model.parameters.values()) / expectedNorm - 1), gradientTolerance, "gradient norm"));
  for (const name of [...golden.keys()].filter((key) => key.startsWith("grad."))) {
    const gradient = model.parameters.get(name.replace("grad.transformer.", ""))?.grad;
    if (gradient === undefined) throw new Error(`${name}: no gradient`);
    below(relativeError(gradient, of(name)), gradientTolerance, name);
  }
  for (const weight of model.parameters.values()) weight.dispose();
  return `as transformers: relative errors of ${seen.join(", ")}`;
};

/** What several workers do with each other, in one process that is alone: on a graphics card over NCCL, where the add-on has it. Among several processes the tests look at it. */
const collectives: Check = ({ device }) => {
  const [host, timeout] = ["127.0.0.1", 60_000];
  const store = openStore({ host, port: 0, isServer: true, timeout });
  const group = openProcessGroup({ store, name: "smoke", rank: 0, size: 1, address: host, timeout });
  const use = group.computeOn(device);
  const sent = tensor([1.5, -2], { dtype: "f64", device });
  group.sum([sent]);
  group.copyFrom(0, [sent]);
  const gathered = group.gather(sent).map((each) => [...toFloat64Array(each)].join());
  group.barrier();
  demand(gathered.join(" ") === "1.5,-2", `one process alone made ${gathered.join(" ")} of 1.5,-2`);
  const weight = ops.full([300, 300], 2, "f64", device).setRequiresGrad();
  const summing = group.gradientSum([weight]);
  backwardSummed([summing], weight.mul(weight).sum());
  const { grad } = weight;
  demand(grad?.amin().item() === 4 && grad.amax().item() === 4, "the gradient of Σx² at 2 isn't 4");
  summing.close();
  group.close();
  store.close();
  const why = use === undefined ? "" : use.warnings.map((warning) => ` (${warning})`).join("");
  return `sum, copy, gathering and a reducer's gradients are exact over ${use?.backend ?? "gloo"}${why}`;
};

const CHECKS: readonly (readonly [string, Check])[] = [
  ["operator", operator],
  ["autograd", autograd],
  ["dropout", dropoutStatistics],
  ["adamw", adamw],
  ["autocast", autocastBf16],
  ["typed error", typedError],
  ["gpt2 golden", gpt2],
  ["collectives", collectives],
];

/** `ok`, `FAIL` or `skip`, and the line. */
function outcome(check: Check, place: Place): readonly ["ok" | "FAIL" | "skip", string] {
  try {
    const seen = scope(() => check(place));
    return typeof seen === "string" ? ["ok", seen] : ["skip", seen.skipped];
  } catch (error) {
    return ["FAIL", (error instanceof Error ? error.message : String(error)).replace(/\s*\n\s*/g, " ")];
  }
}

function wantedDevices(words: readonly string[], cards: number): readonly string[] {
  if (words.length === 0) return cards > 0 ? ["cpu", "cuda:0"] : ["cpu"];
  for (const word of words) {
    const card = /^cuda:(\d+)$/.exec(word)?.[1];
    if (word !== "cpu" && (card === undefined || Number(card) >= cards))
      throw new UserError({
        where: "smoke-native.sh",
        what: "no such device here",
        expected: ["cpu", ...Array.from({ length: cards }, (_, i) => `cuda:${i}`)].join(" or "),
        got: word,
      });
  }
  return words;
}

function main(words: readonly string[]): number {
  const at = words.indexOf("--python");
  const python = at === -1 ? undefined : words[at + 1];
  const facts = engineFacts();
  const devices = wantedDevices(at === -1 ? words : words.toSpliced(at, 2), facts.cudaDevices);
  const cards = facts.cuda ? `, ${facts.cudaDevices} graphics cards` : ", built without CUDA or no driver: no graphics card";
  process.stdout.write(`libtorch ${facts.torchVersion}, ${facts.cpuCapability}${cards}\n`);
  const counts = { ok: 0, FAIL: 0, skip: 0 };
  for (const device of devices) {
    for (const [name, check] of CHECKS) {
      const [verdict, line] = outcome(check, { device, python });
      counts[verdict]++;
      process.stdout.write(`${verdict.padEnd(5)}${device.padEnd(8)}${name.padEnd(12)}${line}\n`);
    }
  }
  process.stdout.write(`smoke: ${counts.ok} passed, ${counts.FAIL} failed, ${counts.skip} skipped on ${devices.join(", ")}\n`);
  return counts.FAIL === 0 ? 0 : 1;
}

try {
  process.exitCode = main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof UserError)) throw error;
  process.stderr.write(`tandem: ${error.message}\n`);
  process.exitCode = 2;
}
