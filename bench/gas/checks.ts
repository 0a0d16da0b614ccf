/** How a job is checked. */
export type Check = "trusted, 0 %" | "3 %, adaptive" | "3 %, q = 3" | "3 %, q = 5" | "100 %, q = 3" | "100 %, q = 5";

export const CHECKS: readonly Check[] = [
  "trusted, 0 %",
  "3 %, adaptive",
  "3 %, q = 3",
  "3 %, q = 5",
  "100 %, q = 3",
  "100 %, q = 5",
];
