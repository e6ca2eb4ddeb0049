/**
 * Slurm's list of hosts: `gpu[001-003,007],login1` and `r[1-2]n[3-4]`, expanded in Slurm's order as `scontrol show hostnames` does. Not a resolver: no name is looked up. The trap: a comma parts names
 * only outside brackets, the zeros before a number belong to the name, and a range that was mistyped can be longer than the memory.
 * Source: hostlist grammar of Slurm 22.05; its bound on one expression is 64 Ki hosts as well.
 */
import { UserError } from "../errors.js";

const MOST_HOSTS = 65_536;

/**
 * The host names of a list, the last bracket counting fastest.
 *
 * @param where the variable that the list comes from
 * @throws UserError when it isn't such a list
 */
export function expandNodeList(text: string, where: string): string[] {
  const refuse = (what: string, got: string): never => {
    throw new UserError({ where, what, expected: "a list of hosts like gpu[001-003,007],login1", got: `'${got}'` });
  };
  const hosts: string[] = [];
  for (const name of splitOutsideBrackets(text.trim(), refuse)) {
    hosts.push(...expandName(name, refuse));
    if (hosts.length > MOST_HOSTS) refuse(`more than ${MOST_HOSTS} hosts`, text);
  }
  return hosts;
}

type Refuse = (what: string, got: string) => never;

function splitOutsideBrackets(text: string, refuse: Refuse): string[] {
  const names = [""];
  let isInside = false;
  for (const character of text) {
    if (character === "[" || character === "]") {
      if (isInside === (character === "[")) refuse(`'${character}' without its other half`, text);
      isInside = character === "[";
    }
    if (character === "," && !isInside) names.push("");
    else names.push((names.pop() ?? "") + character);
  }
  if (isInside) refuse("'[' without its other half", text);
  return names;
}

/** One name with any number of brackets: every combination of what they hold. */
function expandName(name: string, refuse: Refuse): string[] {
  if (name === "") refuse("a name is empty", name);
  let hosts = [""];
  // With its group in parentheses, split gives the plain parts at even places and the brackets' contents at odd ones.
  for (const [place, part] of name.split(/\[([^\]]*)\]/).entries()) {
    if (place % 2 === 0 && !/^[\w.-]*$/.test(part)) refuse("a character that no host name has", name);
    const endings = place % 2 === 0 ? [part] : expandBracket(part, name, refuse);
    if (hosts.length * endings.length > MOST_HOSTS) refuse(`more than ${MOST_HOSTS} hosts`, name);
    hosts = hosts.flatMap((begun) => endings.map((ending) => begun + ending));
  }
  return hosts;
}

/** The numbers between brackets, each as wide as it was written. */
function expandBracket(content: string, name: string, refuse: Refuse): string[] {
  return content.split(",").flatMap((item) => {
    const [, low, high = low] = /^(\d{1,15})(?:-(\d{1,15}))?$/.exec(item) ?? [];
    if (low === undefined || high === undefined) return refuse("no number or range of numbers between brackets", name);
    const [first, last] = [Number(low), Number(high)];
    // `[1-010]` would leave it open how wide the numbers in between are.
    if (high.startsWith("0") && high.length !== low.length) refuse(`range ${item} is of two widths`, name);
    if (last < first) refuse(`range ${item} runs backwards`, name);
    if (last - first >= MOST_HOSTS) refuse(`more than ${MOST_HOSTS} hosts`, name);
    return Array.from({ length: last - first + 1 }, (_, i) => String(first + i).padStart(low.length, "0"));
  });
}
