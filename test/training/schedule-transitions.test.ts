/**
 * Proves that a place in the schedule is a pure function of schedule, transitions and global step: every step has one place, nothing depends on transitions that come later (so a run that is resumed at any step sees the
 * same places), batches go on where they stopped, and the rate's course runs as it was planned.
 * Alone: npx vitest run test/training/schedule-transitions.test.ts
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { positionAt, stepsLeft, takenPhases, totalSteps, type ScheduledPhase, type Transition } from "../../src/training/schedule.js";

const entry = fc.oneof(
  fc.constant<ScheduledPhase>({ phase: "refresh", steps: 0 }),
  fc.record({ phase: fc.constantFrom("generator", "contrastive"), steps: fc.integer({ min: 1, max: 6 }), isOwnCourse: fc.boolean() }),
  fc.record({ phase: fc.constantFrom("generator", "contrastive"), steps: fc.constant(Infinity), minutes: fc.constant(1) }),
);

/** A schedule as a run would go through it: each entry is passed over, left early or ended, by chance; those without an end are always left. */
const course = fc
  .array(fc.record({ entry, fate: fc.constantFrom("whole", "early", "over"), after: fc.integer({ min: 1, max: 8 }) }), {
    minLength: 1,
    maxLength: 8,
  })
  .map((plan) => {
    const schedule = plan.map((part): ScheduledPhase => part.entry);
    const transitions: Transition[] = [];
    const known: number[] = [];
    let step = 0;
    for (const [index, { entry: own, fate, after }] of plan.entries()) {
      const places = own.phase === "refresh" ? 1 : own.steps;
      const taken = fate === "over" ? 0 : fate === "early" || places === Infinity ? Math.min(places, after) : places;
      // While it is taken, only the transitions before it are known.
      for (let i = 0; i < taken; i++) known.push(transitions.length);
      step += taken;
      if (taken < places) transitions.push({ entry: index, step, reason: "by chance" });
    }
    return { schedule, transitions, known, steps: step };
  });

describe("a place in the schedule", () => {
  it("is the same with the transitions known at its step and with all of them", () => {
    fc.assert(
      fc.property(course, ({ schedule, transitions, known, steps }) => {
        expect(totalSteps(schedule, transitions)).toBe(steps);
        for (let step = 0; step < steps; step++)
          expect(positionAt(schedule, step, transitions.slice(0, known[step]))).toEqual(positionAt(schedule, step, transitions));
        expect(positionAt(schedule, steps, transitions)).toBeUndefined();
      }),
      { numRuns: 500 },
    );
  });

  it("goes step by step: entries in their order, batches of a kind without a gap or a repeat, the course inside its bounds", () => {
    fc.assert(
      fc.property(course, ({ schedule, transitions, steps }) => {
        const next = new Map<string, number>();
        let before = -1;
        for (let step = 0; step < steps; step++) {
          const place = positionAt(schedule, step, transitions)!;
          expect(place.phaseIndex).toBeGreaterThanOrEqual(before);
          before = place.phaseIndex;
          expect(place.stepOfKind).toBe(next.get(place.phase) ?? 0);
          next.set(place.phase, place.stepOfKind + 1);
          const isOpen = schedule.some((other) => other.phase === place.phase && other.steps === Infinity);
          if (!isOpen) expect(place.courseStep).toBeLessThan(place.courseSteps);
          if (schedule[place.phaseIndex]?.isOwnCourse === true) expect(place.courseStep).toBe(place.stepInPhase);
        }
      }),
      { numRuns: 500 },
    );
  });

  it("leaves as many steps as are to come, and tells how it went", () => {
    fc.assert(
      fc.property(course, ({ schedule, transitions, steps }) => {
        for (let done = 0; done <= steps; done++) {
          const left = Object.values(stepsLeft(schedule, done, transitions)).reduce((sum, own) => sum + own, 0);
          expect(left).toBe(steps - done);
        }
        const taken = takenPhases(schedule, transitions, steps);
        expect(taken.reduce((sum, own) => sum + own.steps, 0)).toBe(steps);
        expect(taken.every((own) => own.steps > 0)).toBe(true);
      }),
      { numRuns: 300 },
    );
  });

  it("counts nothing of what has no end yet, while it goes on", () => {
    const open: ScheduledPhase[] = [
      { phase: "generator", steps: 2 },
      { phase: "contrastive", steps: Infinity, minutes: 1 },
      { phase: "generator", steps: 3 },
    ];
    expect(totalSteps(open)).toBe(Infinity);
    expect(stepsLeft(open, 1)).toEqual({ generator: 4 });
    expect(stepsLeft(open, 50)).toEqual({ generator: 3 });
    expect(positionAt(open, 1_000_000)).toMatchObject({ phase: "contrastive", stepInPhase: 999_998 });
    expect(takenPhases(open, [], 9)).toEqual([
      { phase: "generator", steps: 2 },
      { phase: "contrastive", steps: 7 },
    ]);
  });
});

describe("the rate's course", () => {
  const schedule: ScheduledPhase[] = [
    { phase: "generator", steps: 10 },
    { phase: "generator", steps: 4, isOwnCourse: true },
    { phase: "generator", steps: 6 },
  ];

  it("leaves out what was left early, so that it ends where it was planned to; batches leave out nothing", () => {
    const early: Transition[] = [{ entry: 0, step: 3, reason: "enough" }];
    expect(positionAt(schedule, 7, early)).toMatchObject({
      phaseIndex: 2,
      stepOfKind: 7,
      courseStep: 10,
      courseSteps: 16,
      stepsOfKind: 20,
    });
    expect(positionAt(schedule, 12, early)).toMatchObject({ courseStep: 15, courseSteps: 16 });
  });

  it("of an entry with its own runs over its own steps, and the others' passes it by", () => {
    expect(positionAt(schedule, 10)).toMatchObject({ phaseIndex: 1, courseStep: 0, courseSteps: 4, stepOfKind: 10 });
    expect(positionAt(schedule, 14)).toMatchObject({ phaseIndex: 2, courseStep: 10, courseSteps: 16, stepOfKind: 14 });
  });

  it("is the step of the kind where nothing is special", () => {
    const plain: ScheduledPhase[] = [
      { phase: "generator", steps: 3 },
      { phase: "contrastive", steps: 2 },
      { phase: "generator", steps: 2 },
    ];
    for (let step = 0; step < 7; step++) {
      const place = positionAt(plain, step)!;
      expect([place.courseStep, place.courseSteps]).toEqual([place.stepOfKind, place.stepsOfKind]);
    }
  });
});
