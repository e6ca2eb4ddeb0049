/** The second process of {@link import("./measure-link.js").measureLink}: it meets the first at the port that it was given, makes its calls and ends. Not a module to import: it runs when it is loaded. */
import { openProcessGroup, openStore } from "../../distributed/process-group.js";
import { linkCalls } from "./link-calls.js";

const PATIENCE = 60_000;
const store = openStore({ host: "127.0.0.1", port: Number(process.argv[2]), isServer: false, timeout: PATIENCE });
const group = openProcessGroup({ store, name: "link", rank: 1, size: 2, address: "127.0.0.1", timeout: PATIENCE });
linkCalls(group);
group.barrier();
process.exit(0);
