export { systemClock, type Clock } from "#sdk/clock.ts";
