/**
 * Rows of an `.npy` file, read into memory of the caller's: for whoever goes through a file once, from end to end. It maps nothing. The trap that it is there for: a map goes only when the collector comes, so a
 * walk over maps holds the whole file, and a process's memory then looks (and is limited) as if it had loaded it.
 */
import { closeSync, openSync, readSync } from "node:fs";
import { UserError } from "../errors.js";
import { aboutFile } from "./file-fault.js";
import { openNpy, type NpyFile } from "./npy.js";

export class NpyReader {
  readonly file: NpyFile;
  readonly #descriptor: number;

  /** @throws UserError as {@link openNpy} */
  constructor(path: string) {
    this.file = openNpy(path);
    this.#descriptor = aboutFile(path, () => openSync(path, "r"));
  }

  /**
   * Fills the beginning of `into` with rows `start` to `start + count - 1`.
   *
   * @returns that beginning
   * @throws UserError when the file can't be read, or was cut short since it was opened
   */
  read(start: number, count: number, into: Uint8Array): Uint8Array {
    const { path, dataOffset, rowBytes } = this.file;
    const length = count * rowBytes;
    if (length > into.length) throw new RangeError(`${count} rows of ${rowBytes} bytes into ${into.length}`);
    let done = 0;
    while (done < length) {
      const read = aboutFile(path, () => readSync(this.#descriptor, into, done, length - done, dataOffset + start * rowBytes + done));
      if (read === 0)
        throw new UserError({
          where: path,
          what: "the file is cut short",
          expected: `${start + count} rows`,
          remedy: "make or fetch it again",
        });
      done += read;
    }
    return into.subarray(0, length);
  }

  close(): void {
    closeSync(this.#descriptor);
  }
}
