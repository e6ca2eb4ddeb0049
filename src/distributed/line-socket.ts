/**
 * Messages over a socket: one JSON value a line. It knows nothing of what they say. The traps: whoever finds the port may send an endless line or no JSON at all, so a line is bounded and rubbish
 * closes the connection; and a socket's error that nobody listens for ends the process, so it is always listened for.
 */
import type { Socket } from "node:net";

/** How long an ending waits for the other side's: a stopped process never answers. */
const PATIENCE = 2000;
/** A connection over which nothing goes is asked by the kernel whether it is still there. */
const KEEP_ALIVE = 30_000;

export class LineSocket {
  /** Told each message; replaced when somebody else takes the socket over. */
  onMessage: (message: unknown) => void = () => undefined;
  /** Told once that the connection is gone, and why. */
  onClose: (reason: string) => void = () => undefined;
  readonly #socket: Socket;
  #limit: number;
  #reason = "connection lost";
  /** What came since the last line's end. */
  #pieces: Buffer[] = [];
  #length = 0;

  /** @param limit the most bytes of a line */
  constructor(socket: Socket, limit: number) {
    this.#socket = socket;
    this.#limit = limit;
    socket.setNoDelay(true);
    socket.setKeepAlive(true, KEEP_ALIVE);
    socket.on("data", (chunk: Buffer) => this.#take(chunk));
    socket.on("error", () => undefined);
    socket.once("close", () => this.onClose(this.#reason));
  }

  /** The addresses of both ends, as this one sees them; nothing once the connection is gone. */
  get ends(): { readonly own: string; readonly other: string } | undefined {
    const { localAddress: own, remoteAddress: other } = this.#socket;
    return own === undefined || other === undefined ? undefined : { own, other };
  }

  /** For a partner that has shown who it is. */
  set limit(bytes: number) {
    this.#limit = bytes;
  }

  /** Sends, or does nothing when the connection is gone: {@link onClose} tells of that. */
  send(message: unknown): void {
    if (this.#socket.writable) this.#socket.write(`${JSON.stringify(message)}\n`);
  }

  /** Ends the connection once all was sent, and waits a little for the other side to do so too: to close with unread bytes would reset it, and what was sent could be lost. */
  async end(): Promise<void> {
    if (this.#socket.destroyed) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => this.#socket.destroy(), PATIENCE);
      this.#socket.once("close", () => {
        clearTimeout(timer);
        resolve();
      });
      this.#socket.end();
    });
  }

  destroy(reason?: string): void {
    if (reason !== undefined) this.#reason = reason;
    this.#socket.destroy();
  }

  #take(chunk: Buffer): void {
    let rest = chunk;
    while (!this.#socket.destroyed) {
      const end = rest.indexOf("\n");
      const piece = end === -1 ? rest : rest.subarray(0, end);
      this.#length += piece.length;
      if (this.#length > this.#limit) {
        this.destroy("no message: a line is too long");
        return;
      }
      this.#pieces.push(piece);
      if (end === -1) return;
      rest = rest.subarray(end + 1);
      const line = Buffer.concat(this.#pieces).toString("utf8");
      this.#pieces = [];
      this.#length = 0;
      this.#read(line);
    }
  }

  #read(line: string): void {
    let message: unknown;
    try {
      message = JSON.parse(line);
    } catch {
      this.destroy("no message: a line isn't JSON");
      return;
    }
    this.onMessage(message);
  }
}
