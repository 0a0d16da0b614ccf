import { z } from "zod";
import { parseAmount, parseSize } from "#sdk/amount.ts";

/** A line of text. */
export const text = z.string().min(1).max(4096);

/** An address of HTTP. */
export const httpUrl = z.string().refine((url) => URL.canParse(url) && /^https?:/.test(url), {
  error: "expected an address such as http://127.0.0.1:8545",
});

/** A whole number from `least` to `most`; YAML and people write numbers either way. */
export const whole = (least: number, most: number) =>
  z
    .union([z.number(), z.string().regex(/^\d{1,16}$/)], { error: `expected a whole number from ${least} to ${most}` })
    .transform(Number)
    .pipe(z.int().min(least).max(most));

/** Bytes, at least one: a number, or a text such as `16GiB`. */
export const size = z
  .union([z.number(), z.string()])
  .transform((value, context) => {
    try {
      return parseSize(String(value));
    } catch {
      context.addIssue({ code: "custom", message: "expected a size, such as 16GiB" });
      return z.NEVER;
    }
  })
  .pipe(z.number().min(1));

/** An amount of tokens in decimals, as text; YAML and people write numbers either way. */
export const tokens = z
  .union([z.string(), z.number()])
  .transform(String)
  .refine((amount) => isAmount(amount), { error: "expected an amount of tokens in decimals, such as 250.5" });

function isAmount(amount: string): boolean {
  try {
    parseAmount(amount, 18);
    return true;
  } catch {
    return false;
  }
}
