// Bundles the interface: entry points by version, chunks and assets by hash.
import { cpSync, readFileSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";

import { MonoRepoRoot } from "@goauthentik/core/paths/node";
import { AuthentikVersion, VersionFamily } from "@goauthentik/core/version/node";

import esbuild from "esbuild";

const web = join(MonoRepoRoot, "web");
const dist = join(web, "dist");
rmSync(dist, { recursive: true, force: true });

// Pages of the documentation are shown in the interface: a file each.
const docs = {
    name: "docs",
    setup(build) {
        build.onResolve({ filter: /^~docs\// }, ({ path }) => ({
            path: resolve(MonoRepoRoot, "website", "docs", path.slice("~docs/".length)),
            namespace: "docs",
        }));
        build.onLoad({ filter: /\.md$/, namespace: "docs" }, ({ path }) => ({
            contents: JSON.stringify({ content: readFileSync(path, "utf8") }),
            loader: "file",
        }));
    },
};

await esbuild.build({
    entryPoints: {
        "flow/FlowInterface": join(web, "src/flow/index.entrypoint.ts"),
        "poly": join(web, "src/polyfill/index.entrypoint.ts"),
        "styles/static": join(web, "src/styles/authentik/static.global.css"),
    },
    entryNames: `[dir]/[name]-${AuthentikVersion}`,
    chunkNames: "[dir]/chunks/[hash]",
    assetNames: "assets/[dir]/[name]-[hash]",
    outdir: dist,
    bundle: true,
    splitting: true,
    format: "esm",
    minify: process.env.NODE_ENV === "production",
    sourcemap: true,
    legalComments: "external",
    loader: { ".svg": "file" },
    define: {
        "import.meta.env.AK_VERSION": JSON.stringify(AuthentikVersion),
        "import.meta.env.AK_VERSION_FAMILY": JSON.stringify(VersionFamily),
    },
    plugins: [docs],
});
cpSync(join(web, "icons"), join(dist, "assets/icons"), { recursive: true });
