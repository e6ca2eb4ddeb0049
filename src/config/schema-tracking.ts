/**
 * The `tracking` section: an MLflow server that follows the run. Only keys stand here; what is sent and how is `src/tracking`, what the environment adds is tracking-environment.ts.
 * The trap: a saved config must not hold a password, so an address with one is refused here; passwords come from the environment alone.
 */
import { flag, freeKeys, number, section, text } from "./leaf.js";

/** `http://host:port/prefix` without user and password, query and fragment. */
export const SERVER_ADDRESS = /^https?:\/\/[^\s/?#@]+(\/[^\s?#@]*)?$/i;
export const SERVER_ADDRESS_WANTED =
  "http://host:port or https://host, without user and password (those are MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD)";

export const tracking = section("An MLflow server that follows the run. The run directory holds everything without one.", {
  enabled: flag({ doc: "false: no server, whatever the environment names.", default: true }),
  uri: text({
    doc: "The server. null: MLFLOW_TRACKING_URI, else none.",
    default: null,
    pattern: SERVER_ADDRESS,
    wanted: SERVER_ADDRESS_WANTED,
  }),
  experiment: text({
    doc: "The experiment, made if it isn't there. null: MLFLOW_EXPERIMENT_NAME or MLFLOW_EXPERIMENT_ID, else tandem.",
    default: null,
    pattern: /^\S.{0,498}\S$|^\S$/,
    wanted: "1 to 500 characters",
  }),
  run_name: text({ doc: "Name of the MLflow run. null: the run directory's.", default: null }),
  tags: freeKeys({ doc: "Tags of the MLflow run: +tracking.tags.team=x." }),
  artefacts: section("Files that go into the server's artefact store, through the server.", {
    files: flag({
      doc: "Config, versions, the patch of uncommitted changes to Tandem's sources, hashes, validation answers, report. false: none of these.",
      default: true,
    }),
    models: flag({ doc: "Also retriever/ and generator/ once they are trained.", default: false }),
  }),
  every: number({ doc: "Time between two batches.", default: 2, minimum: 0.05, maximum: 3600, unit: "seconds" }),
  timeout: number({
    doc: "Longest that one request may take; a file may take longer while it moves. null: MLFLOW_HTTP_REQUEST_TIMEOUT, else 30.",
    default: null,
    minimum: 0.1,
    maximum: 3600,
    unit: "seconds",
  }),
  end_wait: number({
    doc: "Longest that a run waits at its end until all is sent; a run that a signal stopped waits 5 at most. What is left goes with tandem runs sync.",
    default: 30,
    minimum: 0,
    maximum: 3600,
    unit: "seconds",
  }),
});
