/**
 * The address of each driver's machine as the others reach it, from the connections that rank 0 has. Names aren't asked: a node's own name often resolves to a loopback address, or to nothing on the others. The trap: whoever
 * comes to rank 0 by a loopback address is on rank 0's machine, and those elsewhere reach it as they reach rank 0.
 */
interface Ends {
  readonly rank: number;
  /** Rank 0's end. */
  readonly own: string;
  readonly other: string;
}

/** By rank, 0 to `size` − 1. Of several addresses of rank 0's the one counts by which the lowest other rank came; where all are on one machine that is a loopback address. */
export function memberAddresses(size: number, connections: readonly Ends[]): string[] {
  const inOrder = [...connections]
    .sort((a, b) => a.rank - b.rank)
    .map(({ rank, own, other }) => ({ rank, own: plain(own), other: plain(other) }));
  const ofFirst = inOrder.find(({ own }) => !isLoopback(own))?.own ?? "127.0.0.1";
  const others = new Map(inOrder.map(({ rank, other }) => [rank, isLoopback(other) ? ofFirst : other]));
  return Array.from({ length: size }, (_, rank) => others.get(rank) ?? ofFirst);
}

/** A socket for both families shows IPv4's addresses as `::ffff:10.0.0.1`. */
function plain(address: string): string {
  return address.replace(/^::ffff:(?=\d+\.\d+\.\d+\.\d+$)/i, "");
}

function isLoopback(address: string): boolean {
  return address === "::1" || address.startsWith("127.");
}
