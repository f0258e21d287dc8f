// Must NOT pass: `tsc -p tsconfig.wrong.json` has to fail with exactly one
// error, TS2322 in the line marked below. Any other error, or none, means that
// the check of types.ts shows nothing.

import type { ApplicationRequest } from "@goauthentik/api";

export const request: ApplicationRequest = {
    name: "Wiki",
    slug: "wiki",
    openInNewTab: "yes", // wrong: this is a boolean
};
