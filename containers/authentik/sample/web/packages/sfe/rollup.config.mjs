/**
 * @file The simple flow executor: one classic script for browsers that know no modules.
 */
import * as fs from "node:fs/promises";
import { join } from "node:path";

import commonjs from "@rollup/plugin-commonjs";
import resolve from "@rollup/plugin-node-resolve";

export async function createConfig() {
    // the configuration itself is bundled as CommonJS, which can't import a module at its top
    const { MonoRepoRoot } = await import("@goauthentik/core/paths/node");
    const dist = join(MonoRepoRoot, "web", "dist", "sfe");
    const styles = join(MonoRepoRoot, "web", "packages", "sfe", "vendored", "bootstrap");

    return {
        input: "src/index.js",
        output: { dir: dist, format: "cjs" },
        context: "window",
        plugins: [
            {
                name: "copy-styles",
                buildEnd: () => fs.cp(styles, dist, { recursive: true }),
            },
            resolve({ browser: true }),
            commonjs(),
        ],
    };
}

export default createConfig;
