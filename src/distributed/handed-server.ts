/**
 * What a process has of the `tandem launch` that started it: the socket on which the processes of the job meet, which was listening before any of them began, so that nobody else can take its port in between; and the sign
 * that the launcher is gone. Nothing for processes that others started. The traps: a socket that is handed over takes connections
 * from that moment on, so the process asks for it when it can answer them; and a channel to the launcher that is listened to keeps a process alive that has nothing more to do.
 */
import type { ChildProcess } from "node:child_process";
import { createServer, type AddressInfo, type Server } from "node:net";
import { type Environment, textOf } from "./launch-variables.js";

/** Set for the processes of a launch: what their job is called. */
export const LAUNCH_ID = "TANDEM_LAUNCH";

/** Milliseconds that the socket may take to arrive. */
const PATIENCE = 10_000;

/** What a process asks its launcher for, once it can answer whoever comes. */
const ASKED = "the socket of the meeting";

/** A socket that listens on a free port of this machine alone. Who comes before it is handed on is sent away, and comes again. */
export async function listenOnFreePort(): Promise<{ readonly server: Server; readonly port: number }> {
  const server = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  return { server, port: (server.address() as AddressInfo).port };
}

/** Gives the socket to a process that was started with a channel, when it asks for it, and closes it here. */
export function handOnDemand(child: ChildProcess, server: Server): void {
  child.on("message", (message) => {
    // Where the process is gone already its end says more.
    if (message === ASKED) child.send(ASKED, server, {}, () => server.close());
  });
  child.once("exit", () => server.close());
}

/** The socket that the launcher has for this process; undefined where none comes. */
export async function handedServer(): Promise<Server | undefined> {
  if (!process.connected || process.send === undefined) return undefined;
  const came = new Promise<Server | undefined>((resolve) => {
    const done = (server?: unknown): void => {
      clearTimeout(timer);
      process.off("message", take);
      process.off("disconnect", end);
      process.channel?.unref();
      resolve(server as Server | undefined);
    };
    const end = (): void => done();
    const take = (_message: unknown, server: unknown): void => done(server);
    const timer = setTimeout(end, PATIENCE);
    process.on("message", take);
    process.on("disconnect", end);
  });
  process.send(ASKED, () => undefined);
  return await came;
}

/** When the launcher is gone, this process is asked to stop as by a signal: nobody is left who could end it. */
export function stopWithLauncher(environment: Environment): void {
  if (textOf(environment, LAUNCH_ID) === undefined || !process.connected) return;
  process.once("disconnect", () => process.kill(process.pid, "SIGTERM"));
  process.channel?.unref();
}
