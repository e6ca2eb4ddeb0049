/**
 * How the members of a group send each other what lies on graphics cards: over NCCL where each has a card of its own, else over gloo, by way of main memory. It decides and says why; it sends nothing.
 * The trap: all members must decide alike, so the decision is a function of what all have told each other. And a device's name tells no cards apart: each member may see its own card alone, and call it cuda:0.
 */
import { UserError } from "../errors.js";

/** What a member tells of where it computes. */
export interface MemberDevice {
  /** `cpu` or `cuda:N`, as the member itself calls it. */
  readonly device: string;
  /** What no other card of any machine is called; "" where that isn't known. */
  readonly card: string;
  /** Of the NCCL that it can use; "" for none. */
  readonly nccl: string;
}

/** How the members' graphics cards are used. */
export interface CardUse {
  readonly backend: "gloo" | "nccl";
  /** The names of the members' devices, each once. */
  readonly devices: readonly string[];
  /** What costs time or memory and could be otherwise. */
  readonly warnings: readonly string[];
}

/** @param devices of the members, by rank @throws UserError where some compute on graphics cards and others don't: their results differ by more than rounding allows */
export function requireOneKind(devices: readonly string[]): void {
  const hasCard = devices.map(isCard);
  if (!hasCard.includes(true) || !hasCard.includes(false)) return;
  throw new UserError({
    where: "device",
    what: `workers ${ranksOf(hasCard, false)} compute on a processor and workers ${ranksOf(hasCard, true)} on graphics cards`,
    expected: "one kind of device for all",
    remedy: "set device=cpu, or start where each worker sees a card",
  });
}

function isCard(device: string): boolean {
  return device.startsWith("cuda");
}

/** Undefined: all compute on processors. @throws UserError as {@link requireOneKind} */
export function cardUse(members: readonly MemberDevice[]): CardUse | undefined {
  requireOneKind(members.map(({ device }) => device));
  if (!members.some(({ device }) => isCard(device))) return undefined;
  const devices = [...new Set(members.map(({ device }) => device))].sort();
  const shared = sharedCards(members);
  if (shared.length > 0) return { backend: "gloo", devices, warnings: shared };
  const lacks = whyNoNccl(members);
  return lacks === undefined ? { backend: "nccl", devices, warnings: [] } : { backend: "gloo", devices, warnings: [lacks] };
}

function ranksOf(flags: readonly boolean[], wanted: boolean): string {
  return flags.flatMap((flag, rank) => (flag === wanted ? [rank] : [])).join(", ");
}

/** A line for each card that several members use. NCCL refuses to have two ranks on one. */
function sharedCards(members: readonly MemberDevice[]): string[] {
  const users = new Map<string, number[]>();
  for (const [rank, { card }] of members.entries()) if (card !== "") users.set(card, [...(users.get(card) ?? []), rank]);
  return [...users.values()]
    .filter((ranks) => ranks.length > 1)
    .map(
      (ranks) =>
        `workers ${ranks.join(", ")} share one graphics card (${members[ranks[0] ?? 0]?.device ?? ""}): its time and memory are divided among them, and they send gradients by way of main memory; give each worker a card, with device=auto`,
    );
}

function whyNoNccl(members: readonly MemberDevice[]): string | undefined {
  const apart = "each worker has a graphics card, and they send gradients by way of main memory all the same:";
  if (members.some(({ card }) => card === "")) return `${apart} which card is which can't be told`;
  const without = members.flatMap(({ nccl }, rank) => (nccl === "" ? [rank] : []));
  if (without.length > 0)
    return `${apart} the add-on of workers ${without.join(", ")} was built without NCCL; name its headers and CUDA's (NCCL_HOME, CUDA_HOME) and build again: rm -r build/bridge; bash scripts/build-native.sh bridge`;
  const versions = new Set(members.map(({ nccl }) => nccl));
  return versions.size > 1 ? `${apart} their NCCLs are of versions ${[...versions].join(" and ")}` : undefined;
}
