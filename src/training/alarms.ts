/**
 * Alarms of collapse: figures held against their bounds, and what is to be done. It measures nothing and does nothing. The trap: an alarm that stops or rolls back is thrown, so that no step is taken between the measurement and the
 * action; whoever catches it must not go on from the weights as they are.
 */
import { UserError } from "../errors.js";

type AlarmAction = "warn" | "stop" | "roll_back";

/** A figure's bound, on one side. */
export interface AlarmRule {
  readonly below?: number | null;
  readonly above?: number | null;
  readonly action: AlarmAction;
}

/** A figure beyond its bound. */
export interface Alarm {
  readonly name: string;
  readonly value: number;
  readonly side: "below" | "above";
  readonly bound: number;
  readonly action: AlarmAction;
}

/** The alarms that ring. A figure without a rule, or that wasn't measured, raises none; one that is no number does. */
export function ringing(rules: Readonly<Record<string, AlarmRule>>, figures: Readonly<Record<string, number | undefined>>): Alarm[] {
  return Object.entries(figures).flatMap(([name, value]): Alarm[] => {
    const { below = null, above = null, action } = rules[name] ?? { action: "warn" };
    if (value === undefined) return [];
    if (below !== null && !(value >= below)) return [{ name, value, side: "below", bound: below, action }];
    if (above !== null && !(value <= above)) return [{ name, value, side: "above", bound: above, action }];
    return [];
  });
}

/** `alarm: hubness is 0.93, above 0.8`. */
export function alarmLine({ name, value, side, bound }: Alarm): string {
  return `alarm: ${name} is ${shownBeyond(value, side, bound)}, ${side} ${bound} (train.alarms.${name}.${side})`;
}

/** Four digits, or as many as it takes not to be rounded onto the bound. */
function shownBeyond(value: number, side: Alarm["side"], bound: number): number {
  for (let digits = 4; digits <= 16; digits++) {
    const shown = Number(value.toPrecision(digits));
    if (side === "above" ? shown > bound : shown < bound) return shown;
  }
  return value;
}

/** Ends the training: for good, or to go on from the best checkpoint. */
export class AlarmError extends UserError {
  override readonly name = "AlarmError";

  constructor(
    /** Global steps done when it rang. */
    readonly step: number,
    /** Names of the alarms. */
    readonly alarms: readonly string[],
    readonly action: "stop" | "roll_back",
    fault: UserError["fault"],
  ) {
    super(fault);
  }
}

/** @returns undefined if all that ring only warn */
export function alarmError(step: number, phase: string, alarms: readonly Alarm[]): AlarmError | undefined {
  const acting = alarms.filter(({ action }) => action !== "warn");
  if (acting.length === 0) return undefined;
  // Stopping is the stronger of two.
  const action = acting.some((alarm) => alarm.action === "stop") ? "stop" : "roll_back";
  return new AlarmError(
    step,
    acting.map(({ name }) => name),
    action,
    {
      where: `step ${step}, phase ${phase}`,
      what: acting.map(alarmLine).join(", "),
      remedy:
        "look at validation/ and metrics.jsonl; a lower learning rate or another seed may help; to go on with other bounds, set train.alarms in the run's config.yaml, then tandem train --resume <run>",
    },
  );
}
