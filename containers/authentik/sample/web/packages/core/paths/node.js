/**
 * @file Where things are in the repository.
 */
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));

/** The root of the repository. */
export const MonoRepoRoot = resolve(here, "..", "..", "..", "..");
