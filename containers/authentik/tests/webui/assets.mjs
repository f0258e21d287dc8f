// assets.mjs WEBUI TEMPLATES VERSION: what the server's pages name of the web UI exists, and what those
// files name exists as well: modules, chunks, fonts, pictures, source maps.
import { existsSync, readFileSync, readdirSync, statSync } from "node:fs";
import { dirname, extname, join, relative, resolve } from "node:path";

const [webui, templates, version] = process.argv.slice(2);
const dist = join(webui, "dist");
const missing = [];
let checked = 0;

function wants(who, path) {
    checked += 1;
    if (!existsSync(path) || !statSync(path).isFile()) {
        missing.push(`${who} names ${relative(webui, path)}, which does not exist`);
    }
}

function files(folder) {
    return readdirSync(folder, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => join(entry.parentPath, entry.name));
}

let pages = 0;
for (const page of files(join(templates, "authentik")).filter((file) => file.endsWith(".html"))) {
    const text = readFileSync(page, "utf8");
    for (const [, name] of text.matchAll(/\{%\s*(?:versioned_script|static)\s+["'](dist\/[^"']+)["']/g)) {
        pages += 1;
        wants(relative(templates, page), join(webui, name.replaceAll("%v", version)));
    }
}

for (const file of files(dist)) {
    const kind = extname(file);
    if (kind !== ".js" && kind !== ".css") {
        continue;
    }
    const text = readFileSync(file, "utf8");
    const who = relative(webui, file);
    const near = (name) => resolve(dirname(file), name);
    if (kind === ".js") {
        // static and dynamic imports of files of this build, as esbuild writes them
        for (const [, , name] of text.matchAll(/\b(?:from|import)\s*\(?\s*(["'])(\.{1,2}\/[^"'\s]+\.js)\1/g)) {
            wants(who, near(name));
        }
        // files that a loader put beside the bundles, named with their hash
        for (const [, name] of text.matchAll(/["'`]((?:\.{1,2}\/)+assets\/[^"'`\s]+-[A-Z0-9]{8}\.[a-z0-9]+)["'`]/g)) {
            wants(who, near(name));
        }
    } else {
        for (const [, name] of text.matchAll(/url\(\s*["']?(?!data:|https?:|#|\/)([^"')?#]+)/g)) {
            wants(who, near(name));
        }
    }
    const map = text.match(/(?:\/\/|\/\*)# sourceMappingURL=(?!data:)(\S+?)(?:\s|\*\/|$)[^]*$/);
    if (map) {
        wants(who, near(decodeURIComponent(map[1])));
    }
}

if (pages === 0) {
    missing.push(`no page below ${templates} names anything of the web UI`);
}
if (missing.length > 0) {
    console.error([...new Set(missing)].join("\n"));
    process.exit(1);
}
console.log(`${checked} names of files, ${pages} of them in the server's pages, and all exist`);
