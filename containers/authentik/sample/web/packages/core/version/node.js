/**
 * @file The version of the web UI.
 */
import { parse } from "semver";

import PackageJSON from "../../../../package.json" with { type: "json" };

/**
 * @typedef {`${number}.${number}.${number}${string}`} SemVerSource
 */

/**
 * The version that the repository's package.json gives.
 */
export const AuthentikVersion = /** @type {SemVerSource} */ (PackageJSON.version);

/**
 * Its first two parts, such as 2026.2.
 */
export const VersionFamily = (({ major, minor }) => `${major}.${minor}`)(parse(AuthentikVersion, true, true));
