export { Random } from "../../agents/simulation/random.ts";
