/** Amounts as people type them for a partition: sizes as Slurm has them (`64G` is GiB), times as Slurm has them, and lists of whole numbers. The trap: a bare number of a time is minutes, as in `sbatch --time`. */
import { UserError } from "../errors.js";

const FACTORS: Readonly<Record<string, number>> = { K: 2 ** 10, M: 2 ** 20, G: 2 ** 30, T: 2 ** 40 };

/** Bytes of `512M`, `64G`, `1.5T`. @throws UserError */
export function sizeOf(text: string, option: string): number {
  const [, number = "", unit = ""] = /^(\d+(?:\.\d+)?)([KMGT])(?:i?B)?$/i.exec(text) ?? [];
  const bytes = Number(number) * (FACTORS[unit.toUpperCase()] ?? NaN);
  if (number !== "" && bytes > 0) return bytes;
  throw refused(option, "is no size", "512M, 64G or 1.5T, in units of 1,024", text);
}

/** Seconds of `90` (minutes), `30:00`, `24:00:00`, `2-12`, `2-12:30`, `2-12:30:00`. @throws UserError */
export function durationOf(text: string, option: string): number {
  const [, days, rest = ""] = /^(?:(\d+)-)?(\d+(?::\d+){0,2})$/.exec(text) ?? [];
  const parts = rest.split(":").map(Number);
  const [first = 0, second = 0, third = 0] = parts;
  const hoursFirst = days !== undefined || parts.length === 3;
  const seconds = hoursFirst ? 86_400 * Number(days ?? 0) + 3600 * first + 60 * second + third : 60 * first + second;
  if (rest !== "" && seconds > 0) return seconds;
  throw refused(option, "is no time", "minutes, MM:SS, HH:MM:SS or D-HH:MM:SS", text);
}

/** Rising whole numbers of `1,2,4`. @throws UserError */
export function countsOf(text: string, option: string): number[] {
  const counts = text.split(",").map(Number);
  if (/^\d+(,\d+)*$/.test(text) && counts.every((count) => count >= 1 && count <= 65_536))
    return [...new Set(counts)].sort((a, b) => a - b);
  throw refused(option, "is no list of whole numbers", "1,2,4, each from 1 to 65536", text);
}

/** A number above 0. @throws UserError */
export function positiveOf(text: string, option: string): number {
  const number = Number(text);
  if (/^\d/.test(text) && number > 0 && number < Infinity) return number;
  throw refused(option, "is no number above 0", "such as 21000000 or 2.5e7", text);
}

function refused(option: string, what: string, expected: string, got: string): UserError {
  return new UserError({ where: `--${option}`, what, expected, got });
}
