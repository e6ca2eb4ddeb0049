/** A port for a test's processes to meet at. Not a test. The trap: the system gives ports of the upper half to outgoing connections, and one of those may take a port between two tries. */
import { createServer } from "node:net";

/** A free port below those that the system gives to outgoing connections. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 12_000);
    const server = createServer();
    const isFree = await new Promise<boolean>((resolve) => {
      server.once("error", () => resolve(false));
      server.listen(port, "127.0.0.1", () => resolve(true));
    });
    await new Promise<void>((resolve) => void server.close(() => resolve()));
    if (isFree) return port;
  }
}
