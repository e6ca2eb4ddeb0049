/**
 * Files as read-only memory: pages come from the disk when they are touched and are shared by all processes, so a corpus of any size costs
 * no heap. Each call makes a map of its own; it goes when nothing refers to its buffer any more.
 * Two traps, both kill the process: a write into the view, and a file that is cut short while it is mapped. Tandem's own writers always
 * rename a new file into place, which leaves old maps whole.
 */
import { constants } from "node:buffer";
import { UserError } from "../errors.js";
import { aboutFile, systemCode } from "./file-fault.js";
import { systemCalls } from "./system-calls.js";

/** The longest view that one typed array can have here (4 GiB on Node 20). Longer files are mapped in ranges. */
export const longestView: number = constants.MAX_LENGTH;

/**
 * The whole file as bytes, without reading it. An empty file gives an empty array.
 *
 * @throws UserError when the file is missing, a folder, a device, unreadable, or longer than {@link longestView}
 */
export function mapFile(path: string): Uint8Array {
  return view(path, 0, undefined);
}

/**
 * `length` bytes of the file from `offset` on. The view's start in memory is aligned as the offset is (to a page), so an offset that is a
 * multiple of 8 can hold doubles.
 *
 * @throws UserError as {@link mapFile}, and when the file ends before the range does
 */
export function mapRange(path: string, offset: number, length: number): Uint8Array {
  return view(path, offset, length);
}

function view(path: string, offset: number, length: number | undefined): Uint8Array {
  const addon = systemCalls();
  try {
    return new Uint8Array(aboutFile(path, () => addon.map(path, offset, length)));
  } catch (error) {
    if (error instanceof RangeError && error.message.startsWith("map:")) {
      const got = length === undefined ? "less" : `less than ${offset + length} bytes`;
      throw new UserError({ where: path, what: "the file is cut short", got, remedy: "make or fetch it again" }, { cause: error });
    }
    if (systemCode(error) === "ERR_BUFFER_TOO_LARGE") {
      throw new UserError(
        { where: path, what: "is too long to be mapped as a whole", expected: `at most ${longestView} bytes` },
        { cause: error },
      );
    }
    throw error;
  }
}
