import { z } from "zod";

const MAX_PATH_LENGTH = 1024;

/** Whether a path leads down: relative, without `.`, `..`, empty names, backslashes or control characters. */
export function isRelativePath(path: string): boolean {
  const isClean = path !== "" && path.length <= MAX_PATH_LENGTH && !/[\p{C}\\]/u.test(path);
  return isClean && path.split("/").every((part) => part !== "" && part !== "." && part !== "..");
}

/** A file's place in a stored directory. */
export const storedPath = z.string().refine(isRelativePath, { error: "expected a relative path without . and .." });
