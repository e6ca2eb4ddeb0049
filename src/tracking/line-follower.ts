/**
 * Follows a file of lines that another process appends to, by offset: each call gives the whole lines that have come since. It blocks nothing and takes no half line. The trap: a resumed run replaces its log
 * with a shorter one; a replaced or shorter file is read from its beginning again, so whoever uses the lines must know which ones he had.
 */
import { open } from "node:fs/promises";
import { systemCode } from "../storage/file-fault.js";

const CHUNK = 256 * 1024;
const LINE_FEED = 0x0a;

export class LineFollower {
  readonly path: string;
  #inode = -1;
  #offset = 0;

  constructor(path: string) {
    this.path = path;
  }

  /** The lines that came since the last one was taken, without their ends. A file that isn't there yet has none. */
  async *newLines(): AsyncGenerator<string, void, undefined> {
    const file = await open(this.path, "r").catch((error: unknown) => {
      if (systemCode(error) === "ENOENT") return undefined;
      throw error;
    });
    if (file === undefined) return;
    try {
      const { ino, size } = await file.stat();
      if (ino !== this.#inode || size < this.#offset) {
        this.#inode = ino;
        this.#offset = 0;
      }
      let rest: Buffer = Buffer.alloc(0);
      for (let position = this.#offset; ;) {
        const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(CHUNK), 0, CHUNK, position);
        if (bytesRead === 0) return;
        position += bytesRead;
        rest = Buffer.concat([rest, buffer.subarray(0, bytesRead)]);
        for (let end = rest.indexOf(LINE_FEED); end !== -1; end = rest.indexOf(LINE_FEED)) {
          const line = rest.subarray(0, end).toString("utf8");
          rest = rest.subarray(end + 1);
          yield line;
          // Only now: a line whose taker failed comes again.
          this.#offset += end + 1;
        }
      }
    } finally {
      await file.close();
    }
  }

  /** Begins again at the front at the next call. */
  rewind(): void {
    this.#inode = -1;
  }
}
