// client.mjs WEBUI CLIENT: the files of the API client that the bundles were made of, which their source
// maps hold, are those of CLIENT, byte for byte.
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";

const [webui, client] = process.argv.slice(2);
const place = "node_modules/@goauthentik/api/";
const found = new Set();
const others = new Set();

const maps = readdirSync(join(webui, "dist"), { recursive: true }).filter((name) => name.endsWith(".js.map"));
for (const name of maps) {
    const map = JSON.parse(readFileSync(join(webui, "dist", name), "utf8"));
    map.sources.forEach((source, index) => {
        const start = source.lastIndexOf(place);
        if (start < 0) {
            return;
        }
        const file = join(client, source.slice(start + place.length));
        const same = existsSync(file) && readFileSync(file, "utf8") === map.sourcesContent?.[index];
        (same ? found : others).add(source.slice(start + place.length));
    });
}

if (others.size > 0) {
    console.error(`not the client's own: ${[...others].slice(0, 10).join(", ")} (${others.size} files)`);
    process.exit(1);
}
if (found.size === 0) {
    console.error(`none of the ${maps.length} source maps holds a file of ${place}`);
    process.exit(1);
}
console.log(`${found.size} files of the client are in the bundles, and no others`);
