import pMap from "p-map";

/**
 * Does something with each of some items, so many at once, begun in their order. After a failure nothing more is begun,
 * and what is under way is left to end: so nothing goes on once this has.
 *
 * @throws the first failure
 */
export async function workThrough<T>(
  items: Iterable<T>,
  { atOnce }: { atOnce: number },
  work: (item: T) => Promise<void>,
): Promise<void> {
  const failures: unknown[] = [];
  await pMap(
    items,
    async (item) => {
      if (failures.length > 0) return;
      await work(item).catch((error: unknown) => failures.push(error));
    },
    { concurrency: atOnce },
  );
  if (failures.length > 0) throw failures[0];
}
